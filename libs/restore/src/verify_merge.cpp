// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/verify_adapter.hpp"

#include "adapter_truth.hpp"
#include "expected_rows.hpp"
#include "verify_side_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RowRange;
using checkpoint::TensorEntry;
using linalg::Matrix;

constexpr std::uint64_t block_values = 1U << 18U;

/// What one tensor of the merged checkpoint says.
struct Outcome {
    TensorVerdict verdict{};
    std::vector<std::string> deviations{};
};

/// Compares one tensor of base and merged.
class TensorCheck {
public:
    TensorCheck(const AdapterTruth& truth,
                const Request& request,
                MergeRounding rounding,
                const TensorEntry& base,
                const TensorEntry& merged,
                Outcome& outcome)
        : truth_(truth),
          request_(request),
          // The interval of one rounding; float32 sums may end on the other side of a tie.
          units_(rounding == MergeRounding::once ? 0.5 : 1.0),
          slack_(rounding == MergeRounding::once ? 0x1p-40 : 0x1p-18),
          base_(base),
          merged_(merged),
          source_(truth.find(base)),
          outcome_(outcome) {}

    void run(const Expectations& expectations, const Execution& execution) {
        const ExpectedRows expected = expectations.find(base_);
        const std::uint64_t row_bytes = base_.row_bytes();
        if (base_.bytes == 0 || row_bytes == 0) {
            return;
        }
        const std::uint64_t at_once =
            std::max<std::uint64_t>(1, block_values / std::max<std::uint64_t>(1, base_.columns()));
        for (std::uint64_t row = 0; row < base_.rows();) {
            execution.check();
            const RowOrigin::Kind kind = find_kind(expected, row);
            std::uint64_t end = row + 1;
            while (end < base_.rows() && end - row < at_once && find_kind(expected, end) == kind) {
                ++end;
            }
            check_rows({.begin = row, .end = end}, kind);
            row = end;
        }
        if (source_ != nullptr && request_.selection.method == Method::pro) {
            check_heads();
        }
        report(not_base_, "the base's bytes");
        report(not_merged_, "W0 + scale B A, rounded once");
        report(not_computed_, "what the method makes of them");
    }

private:
    static RowOrigin::Kind find_kind(const ExpectedRows& expected, std::uint64_t row) {
        return expected.rows.empty() ? RowOrigin::Kind::post : expected.rows[row].kind;
    }

    void check_rows(RowRange rows, RowOrigin::Kind kind) {
        const bool is_restored =
            kind == RowOrigin::Kind::pre ||
            (kind == RowOrigin::Kind::computed && request_.selection.method == Method::lerp &&
             request_.alpha == 1.0);
        if (source_ == nullptr || is_restored) {
            compare_bytes(rows, source_ != nullptr && is_restored);
        } else if (kind == RowOrigin::Kind::post) {
            compare_values(rows, truth_.make_post_rows(*source_, base_, rows), not_merged_);
            outcome_.verdict.rows_from_post += rows.size();
        } else {
            outcome_.verdict.rows_computed += rows.size();
            if (request_.selection.method == Method::lerp) {
                Matrix wanted = truth_.make_post_rows(*source_, base_, rows);
                const Matrix pre = read_rows(base_, rows);
                for (std::size_t i = 0; i < wanted.values().size(); ++i) {
                    wanted.values()[i] += request_.alpha * (pre.values()[i] - wanted.values()[i]);
                }
                compare_values(rows, wanted, not_computed_);
                outcome_.verdict.rows_recomputed += rows.size();
            }
        }
    }

    void compare_bytes(RowRange rows, bool is_restored) {
        const std::uint64_t row_bytes = base_.row_bytes();
        std::vector<std::byte> before(rows.size() * row_bytes);
        std::vector<std::byte> now(before.size());
        base_.read_at(rows.begin * row_bytes, before);
        merged_.read_at(rows.begin * row_bytes, now);
        (is_restored ? outcome_.verdict.rows_from_pre : outcome_.verdict.rows_from_post) +=
            rows.size();
        for (std::uint64_t i = 0; before != now && i < rows.size(); ++i) {
            const auto at = static_cast<std::ptrdiff_t>(i * row_bytes);
            const auto size = static_cast<std::ptrdiff_t>(row_bytes);
            if (!std::equal(before.begin() + at, before.begin() + at + size, now.begin() + at)) {
                not_base_.push_back(static_cast<std::uint32_t>(rows.begin + i));
            }
        }
    }

    void compare_values(RowRange rows,
                        const Matrix& wanted,
                        std::vector<std::uint32_t>& deviating) {
        const Matrix found = read_rows(merged_, rows);
        const Matrix before = read_rows(base_, rows);
        for (std::size_t i = 0; i < wanted.rows(); ++i) {
            double largest = 0.0;
            for (std::size_t j = 0; j < wanted.columns(); ++j) {
                const double size = std::abs(wanted(i, j)) + std::abs(before(i, j));
                largest = std::isfinite(size) ? std::max(largest, size) : largest;
            }
            if (!is_rounding_of(merged_.dtype,
                                found.view().row(i),
                                wanted.view().row(i),
                                units_,
                                largest * slack_)) {
                deviating.push_back(static_cast<std::uint32_t>(rows.begin + i));
            }
        }
    }

    void check_heads() {
        for (const RoutingGroup& group : truth_.groups()) {
            for (const RowRange& rows : list_heads(group, base_)) {
                const Matrix pre = read_rows(base_, rows);
                const Matrix post = truth_.make_post_rows(*source_, base_, rows);
                if (const auto wanted = truth_.filter(group, pre, post)) {
                    compare_values(rows, *wanted, not_computed_);
                    outcome_.verdict.rows_recomputed += rows.size();
                }
            }
        }
    }

    void report(const std::vector<std::uint32_t>& rows, std::string_view what) {
        if (!rows.empty()) {
            outcome_.deviations.push_back(format("tensor {}: {} rows should be {} and are not: {}",
                                                 in_quotes(base_.name),
                                                 rows.size(),
                                                 what,
                                                 compact_list(rows).substr(0, 100)));
        }
    }

    const AdapterTruth& truth_;
    const Request& request_;
    double units_;
    double slack_;
    const TensorEntry& base_;
    const TensorEntry& merged_;
    const AdapterSource* source_;
    Outcome& outcome_;
    std::vector<std::uint32_t> not_base_;
    std::vector<std::uint32_t> not_merged_;
    std::vector<std::uint32_t> not_computed_;
};

void add_outcomes(std::vector<Outcome>& outcomes, Verification& result) {
    for (Outcome& outcome : outcomes) {
        const TensorVerdict& verdict = outcome.verdict;
        result.rows_from_pre += verdict.rows_from_pre;
        result.rows_from_post += verdict.rows_from_post;
        result.rows_computed += verdict.rows_computed;
        result.rows_recomputed += verdict.rows_recomputed;
        result.deviations.insert(
            result.deviations.end(), outcome.deviations.begin(), outcome.deviations.end());
        if (verdict.rows_from_pre + verdict.rows_computed > 0) {
            result.tensors.push_back(std::move(outcome.verdict));
        }
    }
}

}  // namespace

Verification verify_merge(const checkpoint::AdapterMatch& match,
                          const RecognisedCheckpoint& merged,
                          const Request& request,
                          MergeRounding rounding,
                          VerifyScope scope,
                          const Execution& execution) {
    refuse_unfit(
        match, checkpoint::AdapterUse::merge, request.allowed.contains(Allowance::residual));
    const checkpoint::Checkpoint& base = match.base->checkpoint;
    Verification result;
    append_findings(result.findings, match.base->findings(), "pre");
    append_findings(result.findings, match.findings, "post");
    append_findings(result.findings, merged.findings(), "repaired");
    linalg::set_blas_threads(1);
    const AdapterTruth truth(match, request);
    const Expectations expectations(*match.base, *match.base, request);
    const auto& tensors = base.tensors();
    std::vector<Outcome> outcomes(tensors.size());
    execution.watch.progress().begin("verifying", base.tensor_bytes(), ProgressUnit::bytes);
    parallel_for(tensors.size(), execution.threads, [&](std::size_t i) {
        const linalg::OwnBlasThreads one(1);
        const TensorEntry& tensor = tensors[i];
        Outcome& outcome = outcomes[i];
        outcome.verdict = {.name = tensor.name, .rows = tensor.rows()};
        const TensorEntry* now = merged.checkpoint.find(tensor.name);
        if (now == nullptr || now->dtype != tensor.dtype || now->shape != tensor.shape) {
            outcome.deviations.push_back(
                format("tensor {} of the base is missing or has another type or shape",
                       in_quotes(tensor.name)));
            return;
        }
        TensorCheck(truth, request, rounding, tensor, *now, outcome).run(expectations, execution);
        execution.advance(tensor.bytes);
    });
    add_outcomes(outcomes, result);
    result.tensors_compared = tensors.size();
    result.bytes_compared = base.tensor_bytes();
    for (const TensorEntry& tensor : merged.checkpoint.tensors()) {
        if (base.find(tensor.name) == nullptr) {
            result.deviations.push_back(
                format("tensor {} is in the merged checkpoint only", in_quotes(tensor.name)));
        }
    }
    if (scope == VerifyScope::folder) {
        compare_side_files(base, merged.checkpoint, result);
    }
    if (result.rows_recomputed < result.rows_computed) {
        result.notes.push_back(
            format("{} rows hold values that --method {} computed and that are "
                   "not computed again here",
                   result.rows_computed - result.rows_recomputed,
                   to_string(request.selection.method)));
    }
    execution.watch.progress().finish();
    return result;
}

}  // namespace anamnesis::restore
