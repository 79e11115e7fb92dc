// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/method.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"

#include "adapter_values.hpp"
#include "merge_rows.hpp"
#include "pro_heads.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RowRange;
using checkpoint::TensorEntry;
using linalg::Matrix;

/// Values of a block: float32 sums of it stay in the cache of a core.
constexpr std::uint64_t block_values = 1U << 17U;

/// Writes the merged rows of one tensor of the base into one output.
class TensorMerger {
public:
    TensorMerger(const Plan& plan,
                 std::size_t number,
                 Request request,
                 const ChangeTarget& target,
                 const Execution& execution)
        : merge_(*plan.merge),
          merged_(plan.merge->tensors[number]),
          change_(plan.changes[number]),
          base_(*change_.post),
          request_(std::move(request)),
          target_(target),
          execution_(execution) {
        if (merged_.module != nullptr && !merged_.is_bias) {
            factors_.emplace(*merged_.module, merge_.rounding);
        }
    }

    void run() {
        for (const RowSplice& splice : change_.splices) {
            for (std::uint64_t row = splice.rows.begin; row < splice.rows.end;) {
                const EditedRows part = find_part(row, splice.rows.end);
                if (part.edit != RowEdit::filter) {
                    merge_plain(part.rows, part.edit == RowEdit::weaken ? request_.alpha : 0.0);
                }
                row = part.rows.end;
            }
        }
        const bool is_filtered = std::ranges::any_of(
            merged_.edits, [](const auto& edited) { return edited.edit == RowEdit::filter; });
        if (is_filtered) {
            visit_heads(*merge_.match->base,
                        merge_.groups,
                        request_,
                        base_,
                        [&](const ProFilter& filter, double lambda, RowRange rows) {
                            merge_filtered(filter, lambda, rows);
                        });
        }
    }

private:
    /// Rows from `row` on that share one treatment; those that no edit takes are merged as they
    /// are, which is a weakening by nothing, told as `restore` here.
    EditedRows find_part(std::uint64_t row, std::uint64_t end) const {
        for (const EditedRows& edited : merged_.edits) {
            if (edited.rows.begin <= row && row < edited.rows.end) {
                return {.rows = {.begin = row, .end = std::min(end, edited.rows.end)},
                        .edit = edited.edit};
            }
            if (row < edited.rows.begin) {
                end = std::min(end, edited.rows.begin);
            }
        }
        return {.rows = {.begin = row, .end = end}, .edit = RowEdit::restore};
    }

    /// `alpha` of the way from the merged rows back to the base.
    void merge_plain(RowRange rows, double alpha) {
        const std::uint64_t at_once =
            std::max<std::uint64_t>(1, block_values / std::max<std::uint64_t>(1, base_.columns()));
        for (std::uint64_t row = rows.begin; row < rows.end; row += at_once) {
            execution_.check();
            const RowRange part{.begin = row, .end = std::min(rows.end, row + at_once)};
            if (is_low_rank()) {
                merge_low_rank(part, alpha);
                continue;
            }
            Matrix values = make_post_rows(part);
            if (alpha != 0.0) {
                const Matrix pre = load_rows(base_, part);
                interpolate(alpha, pre.view(), values.view(), values.view());
            }
            write(part, values);
        }
    }

    bool is_low_rank() const {
        return factors_.has_value() && merged_.module->module->magnitude == nullptr;
    }

    void merge_low_rank(RowRange rows, double alpha) {
        Matrix left = factors_->load_left(rows);
        if (alpha != 0.0) {
            for (double& value : left.values()) {
                value *= 1.0 - alpha;
            }
        }
        merge_left(rows, left);
    }

    void merge_left(RowRange rows, const Matrix& left) {
        bytes_.resize(rows.size() * base_.row_bytes());
        base_.read_at(rows.begin * base_.row_bytes(), bytes_);
        factors_->merge(left.view(), base_.dtype, bytes_, scratch_);
        write_bytes(rows);
    }

    /// QK-Pro on one head: on the left factor alone where the difference is of low rank.
    void merge_filtered(const ProFilter& filter, double lambda, RowRange rows) {
        execution_.check();
        const std::array<double, 1> lambdas{lambda};
        const Matrix post = is_low_rank() ? factors_->load_left(rows) : make_post_rows(rows);
        const Matrix pre =
            is_low_rank() ? Matrix(post.rows(), post.columns()) : load_rows(base_, rows);
        Matrix filtered(post.rows(), post.columns());
        const std::array<linalg::MatrixView<double>, 1> outputs{filtered.view()};
        filter.apply(lambdas, pre.view(), post.view(), outputs);
        if (is_low_rank()) {
            merge_left(rows, filtered);
        } else {
            write(rows, filtered);
        }
    }

    /// The rows as the adapter alone makes them, before any rounding.
    Matrix make_post_rows(RowRange rows) const {
        if (merged_.saved != nullptr) {
            return make_saved_rows(rows);
        }
        Matrix values = load_rows(base_, rows);
        if (merged_.is_bias) {
            const Matrix added = load_rows(*merged_.module->module->bias, rows);
            for (std::size_t i = 0; i < values.rows(); ++i) {
                values(i, 0) += merged_.module->scale * added(i, 0);
            }
            return values;
        }
        const Matrix left = factors_->load_left(rows);
        factors_->add(left.view(), values.view());
        const Matrix magnitudes = load_magnitudes(rows);
        apply_magnitudes(magnitudes.values(), merge_.rounding, values.view());
        return values;
    }

    /// Some versions of PEFT store the vector as [rows, 1] or [1, rows].
    Matrix load_magnitudes(RowRange rows) const {
        const TensorEntry& magnitude = *merged_.module->module->magnitude;
        const Matrix all = load_rows(magnitude, {.begin = 0, .end = magnitude.rows()});
        Matrix part(rows.size(), 1);
        std::ranges::copy(all.values().subspan(rows.begin, rows.size()), part.values().begin());
        return part;
    }

    Matrix make_saved_rows(RowRange rows) const {
        const checkpoint::SavedTensor& saved = *merged_.saved->saved;
        if (!saved.rows) {
            return load_rows(*saved.tensor, rows);
        }
        Matrix values = load_rows(base_, rows);
        for (std::uint64_t i = 0; i < saved.rows->size(); ++i) {
            const std::uint64_t row = (*saved.rows)[i];
            if (rows.begin <= row && row < rows.end) {
                const Matrix one = load_rows(*saved.tensor, {.begin = i, .end = i + 1});
                std::ranges::copy(one.values(), values.view().row(row - rows.begin).begin());
            }
        }
        return values;
    }

    void write(RowRange rows, const Matrix& values) {
        bytes_.resize(rows.size() * base_.row_bytes());
        narrow(base_.dtype, values.values(), bytes_);
        write_bytes(rows);
    }

    void write_bytes(RowRange rows) {
        const std::uint64_t offset = offset_of_row(change_, target_, rows.begin);
        target_.file->write_at(offset, bytes_);
        execution_.advance(bytes_.size());
    }

    const Merge& merge_;
    const MergedTensor& merged_;
    const TensorChange& change_;
    const TensorEntry& base_;
    Request request_;
    const ChangeTarget& target_;
    const Execution& execution_;
    std::optional<MergeFactors> factors_;
    std::vector<std::byte> bytes_;
    MergeScratch scratch_;
};

}  // namespace

void add_merge_jobs(const Plan& plan,
                    std::span<const RowTargets> outputs,
                    const Execution& execution,
                    Jobs& jobs) {
    if (plan.merge == nullptr) {
        return;
    }
    ANAMNESIS_CHECK(plan.merge->tensors.size() == plan.changes.size(),
                    "a merge has a tensor for each change");
    // The jobs run side by side; BLAS threads of its own would only get in their way.
    linalg::set_blas_threads(1);
    for (std::size_t output = 0; output < outputs.size(); ++output) {
        for (std::size_t i = 0; i < plan.changes.size(); ++i) {
            const bool is_copied = std::ranges::all_of(
                plan.changes[i].splices,
                [](const RowSplice& splice) { return splice.source == RowSource::pre; });
            if (is_copied) {
                continue;
            }
            const ChangeTarget& target = outputs[output][i];
            jobs.emplace_back([&plan, i, output, &target, &execution] {
                in_context(
                    [&] {
                        return format("merging into {}", in_quotes(plan.changes[i].post->name));
                    },
                    [&] {
                        TensorMerger merger(
                            plan, i, request_of_output(plan.request, output), target, execution);
                        merger.run();
                    });
            });
        }
    }
}

}  // namespace anamnesis::restore
