// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/verify.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/importance.hpp"
#include "anamnesis/restore/pair_findings.hpp"
#include "anamnesis/restore/request.hpp"

#include "container_view.hpp"
#include "expected_rows.hpp"
#include "verify_fit.hpp"
#include "verify_gguf.hpp"
#include "verify_side_files.hpp"
#include "verify_tensor.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::TensorEntry;

void add_outcomes(std::vector<TensorResult>& outcomes, Verification& result) {
    for (TensorResult& outcome : outcomes) {
        ++result.tensors_compared;
        result.bytes_compared += outcome.bytes;
        result.rows_from_pre += outcome.verdict.rows_from_pre;
        result.rows_from_post += outcome.verdict.rows_from_post;
        result.rows_computed += outcome.verdict.rows_computed;
        result.rows_recomputed += outcome.verdict.rows_recomputed;
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

/// How rows that bytes cannot prove were checked, and how many were not.
void add_notes_on_computed(const Request& request, Verification& result) {
    const std::string_view method = to_string(request.selection.method);
    if (request.selection.method == Method::lerp && result.rows_recomputed > 0) {
        result.notes.push_back(
            format("{} rows were computed again from pre and post", result.rows_recomputed));
    }
    std::uint64_t as_written = 0;
    for (const TensorVerdict& verdict : result.tensors) {
        if (verdict.is_as_written && verdict.rows_computed > verdict.rows_recomputed) {
            as_written += verdict.rows_computed - verdict.rows_recomputed;
        }
    }
    if (as_written > 0) {
        result.notes.push_back(
            format("{} rows hold values that --method {} computed: they are those that the repair "
                   "wrote, by the SHA-256 of their tensors in the receipt",
                   as_written,
                   method));
    }
    if (const std::uint64_t unchecked = result.count_unchecked(); unchecked > 0) {
        result.notes.push_back(
            format("{} rows hold values that --method {} computed: bytes cannot "
                   "prove them; all other rows are proven",
                   unchecked,
                   method));
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
                    const MomentSource* moments,
                    const WrittenDigests& written) {
    Verification result;
    const auto view = match_container(original_pre, post, request.via);
    const RecognisedCheckpoint& pre = view ? *view : original_pre;
    result.findings = collect_findings(pre, post);
    append_findings(result.findings, repaired.findings(), "repaired");
    const Expectations expectations(pre, post, request);
    const RepairedNames names(repaired.checkpoint);
    VerifySources sources{.pre = pre.checkpoint,
                          .repaired = repaired.checkpoint,
                          .request = request,
                          .written = written};
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
    }
    add_notes_on_computed(request, result);
    execution.watch.progress().finish();
    return result;
}

}  // namespace anamnesis::restore
