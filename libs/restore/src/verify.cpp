// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/importance.hpp"
#include "anamnesis/restore/pair_findings.hpp"

#include "container_view.hpp"
#include "expected_rows.hpp"
#include "scaled_rows.hpp"
#include "verify_fit.hpp"
#include "verify_gguf.hpp"
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

/// The checkpoints that are compared.
struct Sources {
    const checkpoint::Checkpoint& pre;
    const checkpoint::Checkpoint& repaired;
    std::optional<ImportanceMatrix> importance{};
};

/// Reads rows of pre, and of the repaired tensor, as values where the storage of both differs.
struct ScaledPair {
    ScaledPair(const Sources& sources, const TensorEntry& result, const ExpectedRows& expected) {
        if (expected.is_dequantised || expected.is_requantised) {
            pre.emplace(sources.pre, *expected.pre);
        }
        if (expected.is_requantised) {
            repaired.emplace(sources.repaired, result);
        }
        if (sources.importance && uses_importance(result.dtype)) {
            importance = sources.importance->find(result);
        }
    }
    /// Whether a row of the repaired tensor is what a row of pre rounds to.
    bool is_rounding(DType dtype, std::uint64_t row, std::uint64_t pre_row) const {
        return matches_after_rounding(
            dtype, repaired->row(row), repaired->scales_of_row(row), pre->row(pre_row));
    }

    std::optional<ScaledRows> pre{};
    std::optional<ScaledRows> repaired{};
    std::vector<float> importance{};  ///< of the tensor, where it is quantised with any
};

/// A row of pre as post stores it; `bytes` is room for a row.
std::span<const std::byte> convert_row(std::span<const std::byte> row,
                                       std::uint64_t pre_index,
                                       std::uint64_t index,
                                       const ExpectedRows& expected,
                                       const ScaledPair& scaled,
                                       const TensorEntry& post,
                                       std::span<std::byte> bytes) {
    const DType dtype = post.dtype;
    if (scaled.pre) {
        narrow(dtype, scaled.pre->row(pre_index), bytes);
        return bytes;
    }
    if (expected.pre->dtype != dtype && is_block_quantised(dtype)) {
        quantise_row({row, expected.pre->dtype}, post, index, scaled.importance, bytes);
        return bytes;
    }
    if (expected.pre->dtype != dtype) {
        convert(expected.pre->dtype, row, dtype, bytes);
        return bytes;
    }
    return row;
}

void count_deviations(TensorResult& outcome,
                      const std::vector<std::uint64_t>& not_pre,
                      const std::vector<std::uint64_t>& not_post) {
    add_deviation(outcome, "pre", not_pre);
    add_deviation(outcome, "post", not_post);
    outcome.verdict.rows_from_pre -= not_pre.size();
    outcome.verdict.rows_from_post -= not_post.size();
}

void check_every_few_rows(const Execution& execution, std::uint64_t row) {
    if (row % 4096 == 0) {
        execution.check();
    }
}

TensorResult compare_tensor(const TensorEntry& tensor,
                            const TensorEntry& result,
                            const ExpectedRows& expected,
                            const Sources& sources,
                            const Execution& execution) {
    TensorResult outcome{.verdict = {.name = tensor.name, .rows = tensor.rows()},
                         .bytes = tensor.bytes,
                         .deviations = {}};
    if (tensor.bytes == 0) {
        return outcome;
    }
    const TensorEntry post_tensor = in_whole_rows(tensor);
    const TensorEntry result_tensor = in_whole_rows(result);
    RowReader of_post(post_tensor);
    RowReader of_result(result_tensor);
    auto of_pre = expected.pre != nullptr ? std::optional<RowReader>(*expected.pre) : std::nullopt;
    const ScaledPair scaled(sources, result, expected);
    std::vector<std::byte> converted(tensor.row_bytes());
    std::vector<std::uint64_t> not_pre;
    std::vector<std::uint64_t> not_post;
    for (std::uint64_t row = 0; row < post_tensor.rows(); ++row) {
        check_every_few_rows(execution, row);
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
        if (scaled.repaired) {
            if (!scaled.is_rounding(tensor.dtype, row, origin.pre_row)) {
                not_pre.push_back(row);
            }
            continue;
        }
        const std::span<const std::byte> wanted = convert_row(
            of_pre->row(origin.pre_row), origin.pre_row, row, expected, scaled, tensor, converted);
        if (!std::ranges::equal(now, wanted)) {
            not_pre.push_back(row);
        }
        if (std::ranges::equal(wanted, before)) {
            ++outcome.verdict.rows_equal_in_both;
        }
    }
    count_deviations(outcome, not_pre, not_post);
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

/// The tensors of the repaired checkpoint by canonical name: a copy with clean names, or one that
/// another library saved again, may name them in another way.
class RepairedNames {
public:
    explicit RepairedNames(const checkpoint::Checkpoint& repaired) : repaired_(repaired) {
        for (const TensorEntry& tensor : repaired.tensors()) {
            by_canonical_name_.emplace(checkpoint::canonical_name(tensor.name), &tensor);
        }
    }

    const TensorEntry* find(const std::string& name) const {
        if (const TensorEntry* same = repaired_.find(name)) {
            return same;
        }
        const auto found = by_canonical_name_.find(checkpoint::canonical_name(name));
        return found == by_canonical_name_.end() ? nullptr : found->second;
    }

private:
    const checkpoint::Checkpoint& repaired_;
    std::map<std::string, const TensorEntry*> by_canonical_name_;
};

/// A head that is the embedding need not be stored; libraries leave it out when they save.
bool may_be_left_out(const RecognisedCheckpoint& post, const TensorEntry& tensor) {
    return post.model.is_head_tied &&
           checkpoint::classify_tensor(post.model, tensor.name) == checkpoint::TensorGroup::head;
}

void find_surplus(const RecognisedCheckpoint& post,
                  const RecognisedCheckpoint& repaired,
                  Verification& result) {
    std::set<std::string> names;
    for (const TensorEntry& tensor : post.checkpoint.tensors()) {
        names.insert(checkpoint::canonical_name(tensor.name));
    }
    std::uint64_t renamed = 0;
    for (const TensorEntry& tensor : repaired.checkpoint.tensors()) {
        if (post.checkpoint.find(tensor.name) != nullptr) {
            continue;
        }
        if (names.contains(checkpoint::canonical_name(tensor.name))) {
            ++renamed;
        } else {
            result.deviations.push_back(
                format("tensor {} is in the repaired checkpoint only", in_quotes(tensor.name)));
        }
    }
    if (renamed > 0) {
        result.notes.push_back(
            format("{} tensors have other names than in post; they are compared by what the names "
                   "mean",
                   renamed));
    }
}

std::optional<std::string> find_misfit(const TensorEntry& post, const TensorEntry& repaired) {
    if (repaired.dtype == post.dtype && repaired.shape == post.shape) {
        return std::nullopt;
    }
    return format("tensor {} is {} {}, post has {} {}",
                  in_quotes(post.name),
                  anamnesis::to_string(repaired.dtype),
                  anamnesis::to_string(repaired.shape),
                  anamnesis::to_string(post.dtype),
                  anamnesis::to_string(post.shape));
}

}  // namespace

Verification verify(const RecognisedCheckpoint& original_pre,
                    const RecognisedCheckpoint& post,
                    const RecognisedCheckpoint& repaired,
                    const Request& request,
                    const VerifyScope scope,
                    const Execution& execution,
                    const MomentSource* moments) {
    Verification result;
    const auto view = match_container(original_pre, post, request.via);
    const RecognisedCheckpoint& pre = view ? *view : original_pre;
    result.findings = collect_findings(pre, post);
    append_findings(result.findings, repaired.findings(), "repaired");
    const Expectations expectations(pre, post, request);
    const RepairedNames names(repaired.checkpoint);
    Sources sources{.pre = pre.checkpoint, .repaired = repaired.checkpoint};
    if (!request.importance.empty()) {
        sources.importance = ImportanceMatrix::open(request.importance);
    }
    const auto& tensors = post.checkpoint.tensors();
    std::vector<TensorResult> outcomes(tensors.size());
    execution.watch.progress().begin(
        "verifying", post.checkpoint.tensor_bytes(), ProgressUnit::bytes);
    parallel_for(tensors.size(), execution.threads, [&](std::size_t i) {
        const TensorEntry& tensor = tensors[i];
        const TensorEntry* now = names.find(tensor.name);
        if (now == nullptr) {
            if (scope != VerifyScope::weights || !may_be_left_out(post, tensor)) {
                outcomes[i].deviations.push_back(
                    format("tensor {} of post is missing", in_quotes(tensor.name)));
            }
            return;
        }
        if (auto misfit = find_misfit(tensor, *now)) {
            outcomes[i].deviations.push_back(*std::move(misfit));
            return;
        }
        outcomes[i] = compare_tensor(tensor, *now, expectations.find(tensor), sources, execution);
        execution.advance(tensor.bytes);
    });
    add_outcomes(outcomes, result);
    find_surplus(post, repaired, result);
    compare_gguf_headers(post.checkpoint, repaired.checkpoint, result);
    if (scope == VerifyScope::folder) {
        compare_side_files(post.checkpoint, repaired.checkpoint, result);
    }
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
                   to_string(request.selection.method)));
    }
    execution.watch.progress().finish();
    return result;
}

}  // namespace anamnesis::restore
