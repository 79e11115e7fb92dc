// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "expected_rows.hpp"
#include "verify_fit.hpp"
#include "verify_side_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::TensorEntry;

/// Reads rows of a tensor in blocks, mostly in order.
class RowReader {
public:
    explicit RowReader(const TensorEntry& tensor) : tensor_(tensor) {}

    std::span<const std::byte> row(std::uint64_t index) {
        const std::uint64_t row_bytes = tensor_.row_bytes();
        if (index < first_ || index >= first_ + count_) {
            first_ = index;
            count_ = std::min<std::uint64_t>(tensor_.rows() - index,
                                             std::max<std::uint64_t>(1, (1U << 20U) / row_bytes));
            buffer_.resize(count_ * row_bytes);
            tensor_.read_at(first_ * row_bytes, buffer_);
        }
        return std::span(buffer_).subspan((index - first_) * row_bytes, row_bytes);
    }

private:
    const TensorEntry& tensor_;
    std::vector<std::byte> buffer_;
    std::uint64_t first_ = 0;
    std::uint64_t count_ = 0;
};

/// Adds row ranges to a line without listing every row.
std::string describe_rows(const std::vector<std::uint64_t>& rows) {
    std::vector<std::uint32_t> numbers;
    for (const std::uint64_t row : rows) {
        numbers.push_back(static_cast<std::uint32_t>(row));
    }
    std::string text = compact_list(numbers);
    constexpr std::size_t longest = 100;
    if (text.size() > longest) {
        text = text.substr(0, longest) + "…";
    }
    return text;
}

struct TensorResult {
    TensorVerdict verdict;
    std::uint64_t bytes = 0;
    std::vector<std::string> deviations;
};

/// Rows that do not begin on whole bytes are compared as one.
TensorEntry in_whole_rows(TensorEntry tensor) {
    if (tensor.row_bytes() == 0) {
        tensor.shape = {};
    }
    return tensor;
}

void add_deviation(TensorResult& outcome,
                   std::string_view side,
                   const std::vector<std::uint64_t>& rows) {
    if (!rows.empty()) {
        outcome.deviations.push_back(format("tensor {}: {} rows should be {}'s and are not: {}",
                                            in_quotes(outcome.verdict.name),
                                            rows.size(),
                                            side,
                                            describe_rows(rows)));
    }
}

TensorResult compare_tensor(const TensorEntry& tensor,
                            const TensorEntry& result,
                            const ExpectedRows& expected,
                            const Execution& execution) {
    TensorResult outcome;
    outcome.verdict.name = tensor.name;
    outcome.verdict.rows = tensor.rows();
    outcome.bytes = tensor.bytes;
    if (tensor.bytes == 0) {
        return outcome;
    }
    const TensorEntry post_tensor = in_whole_rows(tensor);
    const TensorEntry result_tensor = in_whole_rows(result);
    RowReader of_post(post_tensor);
    RowReader of_result(result_tensor);
    std::optional<RowReader> of_pre;
    if (expected.pre != nullptr) {
        of_pre.emplace(*expected.pre);
    }
    std::vector<std::byte> converted(tensor.row_bytes());
    std::vector<std::uint64_t> not_pre;
    std::vector<std::uint64_t> not_post;
    for (std::uint64_t row = 0; row < post_tensor.rows(); ++row) {
        if (row % 4096 == 0) {
            execution.check();
        }
        const auto now = of_result.row(row);
        const auto before = of_post.row(row);
        const RowOrigin origin = expected.pre == nullptr ? RowOrigin{} : expected.rows[row];
        if (origin.kind == RowOrigin::Kind::post) {
            ++outcome.verdict.rows_from_post;
            if (!std::ranges::equal(now, before)) {
                not_post.push_back(row);
            }
            continue;
        }
        if (origin.kind == RowOrigin::Kind::computed) {
            ++outcome.verdict.rows_computed;
            continue;
        }
        ++outcome.verdict.rows_from_pre;
        std::span<const std::byte> wanted = of_pre->row(origin.pre_row);
        if (expected.pre->dtype != tensor.dtype) {
            convert(expected.pre->dtype, wanted, tensor.dtype, converted);
            wanted = converted;
        }
        if (!std::ranges::equal(now, wanted)) {
            not_pre.push_back(row);
        }
        if (std::ranges::equal(wanted, before)) {
            ++outcome.verdict.rows_equal_in_both;
        }
    }
    add_deviation(outcome, "pre", not_pre);
    add_deviation(outcome, "post", not_post);
    outcome.verdict.rows_from_pre -= not_pre.size();
    outcome.verdict.rows_from_post -= not_post.size();
    return outcome;
}

void add_outcomes(std::vector<TensorResult>& outcomes, Verification& result) {
    for (TensorResult& outcome : outcomes) {
        ++result.tensors_compared;
        result.bytes_compared += outcome.bytes;
        result.rows_from_pre += outcome.verdict.rows_from_pre;
        result.rows_from_post += outcome.verdict.rows_from_post;
        result.rows_computed += outcome.verdict.rows_computed;
        result.deviations.insert(
            result.deviations.end(), outcome.deviations.begin(), outcome.deviations.end());
        if (outcome.verdict.rows_from_pre + outcome.verdict.rows_computed > 0) {
            result.tensors.push_back(std::move(outcome.verdict));
        }
    }
}

}  // namespace

Verification verify(const RecognisedCheckpoint& pre,
                    const RecognisedCheckpoint& post,
                    const RecognisedCheckpoint& repaired,
                    const Request& request,
                    const Execution& execution,
                    const MomentSource* moments) {
    Verification result;
    const Expectations expectations(pre, post, request);
    const auto& tensors = post.checkpoint.tensors();
    std::vector<TensorResult> outcomes(tensors.size());
    execution.watch.progress().begin(
        "verifying", post.checkpoint.tensor_bytes(), ProgressUnit::bytes);
    parallel_for(tensors.size(), execution.threads, [&](std::size_t i) {
        const TensorEntry& tensor = tensors[i];
        const TensorEntry* now = repaired.checkpoint.find(tensor.name);
        if (now == nullptr) {
            outcomes[i].deviations.push_back(
                format("tensor {} of post is missing", in_quotes(tensor.name)));
            return;
        }
        if (now->dtype != tensor.dtype || now->shape != tensor.shape) {
            outcomes[i].deviations.push_back(format("tensor {} is {} {}, post has {} {}",
                                                    in_quotes(tensor.name),
                                                    anamnesis::name_of(now->dtype),
                                                    to_string(now->shape),
                                                    anamnesis::name_of(tensor.dtype),
                                                    to_string(tensor.shape)));
            return;
        }
        outcomes[i] = compare_tensor(tensor, *now, expectations.find(tensor), execution);
        execution.advance(tensor.bytes);
    });
    add_outcomes(outcomes, result);
    for (const TensorEntry& tensor : repaired.checkpoint.tensors()) {
        if (post.checkpoint.find(tensor.name) == nullptr) {
            result.deviations.push_back(
                format("tensor {} is in the repaired checkpoint only", in_quotes(tensor.name)));
        }
    }
    compare_side_files(post.checkpoint, repaired.checkpoint, result);
    if (result.rows_from_pre + result.rows_computed == 0 && result.deviations.empty()) {
        result.deviations.emplace_back("no row is required from pre by this method and selection");
    }
    if (moments != nullptr) {
        verify_fit(pre, post, repaired, request, *moments, result);
    } else if (result.rows_computed > 0) {
        result.notes.push_back(
            format("{} rows hold values that --method {} computed: bytes cannot "
                   "prove them; all other rows are proven",
                   result.rows_computed,
                   name_of(request.selection.method)));
    }
    execution.watch.progress().finish();
    return result;
}

}  // namespace anamnesis::restore
