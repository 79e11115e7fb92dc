// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/qk_pro.hpp"

#include "merge_rows.hpp"
#include "merged_rows.hpp"
#include "pro_heads.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RowRange;
using checkpoint::TensorEntry;

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
          execution_(execution),
          rows_(merged_, merge_.rounding) {}

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
                            execution_.check();
                            bytes_.resize(rows.size() * base_.row_bytes());
                            rows_.make_filtered(filter, lambda, rows, bytes_, scratch_);
                            write(rows);
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
            bytes_.resize(part.size() * base_.row_bytes());
            rows_.make(part, alpha, bytes_, scratch_);
            write(part);
        }
    }

    void write(RowRange rows) {
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
    const MergedRows rows_;
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
                const linalg::OwnBlasThreads one(1);
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
