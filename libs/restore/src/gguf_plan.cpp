// SPDX-License-Identifier: Apache-2.0
#include "gguf_plan.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/formats/gguf.hpp"
#include "anamnesis/restore/importance.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::Finding;
using checkpoint::make_finding;
using checkpoint::Severity;

bool computes_rows(const TensorChange& change) {
    return std::ranges::any_of(
        change.splices, [](const RowSplice& splice) { return splice.source != RowSource::pre; });
}

/// Rows are written as blocks of values, not copied.
bool is_quantised_anew(const TensorChange& change) {
    return is_block_quantised(change.post->dtype) &&
           (change.is_converted() || computes_rows(change));
}

/// "6 from F32 to Q4_K, 2 from F32 to Q6_K"
std::string count_types(const std::vector<const TensorChange*>& changes) {
    std::map<std::pair<std::string, std::string>, std::size_t> counts;
    for (const TensorChange* change : changes) {
        ++counts[{std::string(to_string(change->pre->dtype)),
                  std::string(to_string(change->post->dtype))}];
    }
    std::vector<std::string> parts;
    for (const auto& [types, count] : counts) {
        parts.push_back(format("{} from {} to {}", count, types.first, types.second));
    }
    return join(parts, ", ");
}

std::vector<std::string> list_names(const std::vector<const TensorChange*>& changes) {
    std::vector<std::string> names;
    for (const TensorChange* change : changes) {
        names.push_back(change->post->name);
    }
    return names;
}

void add_importance(Plan& plan,
                    const std::vector<const TensorChange*>& quantised,
                    std::vector<Finding>& findings) {
    std::vector<std::string> without;
    for (const TensorChange* change : quantised) {
        const bool has_none =
            plan.importance == nullptr || plan.importance->find(*change->post).empty();
        if (uses_importance(change->post->dtype) && has_none) {
            without.push_back(change->post->name);
        }
    }
    const auto& metadata = plan.post->checkpoint.gguf()->metadata;
    const bool was_used =
        metadata.has("quantize.imatrix.file") || metadata.has("quantize.imatrix.entries_count");
    if (without.empty() || (!was_used && plan.importance == nullptr)) {
        return;
    }
    const std::string why =
        plan.importance != nullptr
            ? format("{} has no importances for it", in_quotes(plan.request.importance))
            : std::string("post was quantised with an importance matrix, and none was given");
    findings.push_back(make_finding(
        "importance_missing",
        Severity::warning,
        without,
        format("{} tensor{} quantised without importances, such as {}: {}",
               without.size(),
               without.size() == 1 ? " is" : "s are",
               checkpoint::list_examples(without),
               why),
        "give the file that post was quantised with as --imatrix; the maker's bytes need it"));
}

std::vector<std::byte> read_whole(const checkpoint::TensorEntry& tensor) {
    std::vector<std::byte> bytes(tensor.bytes);
    tensor.read_at(0, bytes);
    return bytes;
}

/// The scale of a whole NVFP4 tensor lies beside its weight: it goes with all rows of it, and no
/// rows go from one scale to another.
void add_whole_scales(Plan& plan, std::vector<std::string>& problems) {
    std::vector<TensorChange> scales;
    for (const TensorChange& change : plan.changes) {
        const auto* of_post = find_whole_scale(plan.post->checkpoint, *change.post);
        const auto* of_pre = find_whole_scale(plan.pre->checkpoint, *change.pre);
        if (change.is_converted() || (of_post == nullptr && of_pre == nullptr)) {
            continue;
        }
        const bool is_same =
            of_post != nullptr && of_pre != nullptr && read_whole(*of_post) == read_whole(*of_pre);
        const bool fits = of_post != nullptr && of_pre != nullptr &&
                          of_post->shape == of_pre->shape && of_post->dtype == of_pre->dtype;
        const bool is_planned =
            std::ranges::find(plan.changes, of_post, &TensorChange::post) != plan.changes.end();
        if (is_same || is_planned) {
            continue;
        }
        if (!fits || change.changed_rows() != change.post->rows()) {
            problems.push_back(
                format("tensor {} is under another scale in pre and post, and not all of its rows "
                       "are taken with theirs: no exact answer exists",
                       in_quotes(change.post->name)));
            continue;
        }
        scales.push_back({.post = of_post,
                          .pre = of_pre,
                          .splices = {{.rows = {0, of_post->rows()}, .pre_row = 0}},
                          .layer = change.layer,
                          .part = "scale"});
    }
    plan.changes.insert(plan.changes.end(), scales.begin(), scales.end());
}

void refuse_foreign_options(const Plan& plan) {
    const bool has_option =
        plan.request.via != checkpoint::GgufVia::none || !plan.request.importance.empty();
    if (has_option && !plan.post->checkpoint.gguf()) {
        throw Error(ErrorKind::usage,
                    "--via and --imatrix say how rows are quantised into a GGUF file, and post is "
                    "none");
    }
    if (plan.post->checkpoint.gguf() && plan.request.selection.method == Method::fit) {
        throw Error(
            ErrorKind::unsupported,
            "--method fit runs post over texts, which it does not do with a GGUF file; fit the "
            "safetensors checkpoint and convert it");
    }
}

}  // namespace

const checkpoint::TensorEntry* find_whole_scale(const checkpoint::Checkpoint& checkpoint,
                                                const checkpoint::TensorEntry& weight) {
    constexpr std::string_view end = ".weight";
    if (weight.dtype != DType::nvfp4 || !weight.name.ends_with(end)) {
        return nullptr;
    }
    const std::string module = weight.name.substr(0, weight.name.size() - end.size());
    return checkpoint.find(module + ".scale");
}

void plan_gguf(Plan& plan, std::vector<std::string>& problems, std::vector<Finding>& findings) {
    refuse_foreign_options(plan);
    if (plan.post->checkpoint.gguf()) {
        add_whole_scales(plan, problems);
    }
    std::vector<const TensorChange*> converted;
    std::vector<const TensorChange*> quantised;
    for (const TensorChange& change : plan.changes) {
        if (change.is_converted()) {
            converted.push_back(&change);
        }
        if (is_quantised_anew(change)) {
            quantised.push_back(&change);
        }
    }
    if (plan.request.is_exact && !converted.empty()) {
        problems.push_back(format("rows of {} tensors would be rounded ({}), which --exact refuses",
                                  converted.size(),
                                  count_types(converted)));
    }
    if (!plan.post->checkpoint.gguf()) {
        return;
    }
    if (!plan.request.importance.empty()) {
        plan.importance = std::make_shared<const ImportanceMatrix>(
            ImportanceMatrix::open(plan.request.importance));
    }
    if (!quantised.empty()) {
        findings.push_back(
            make_finding("requantised_rows",
                         Severity::note,
                         list_names(quantised),
                         format("rows of {} tensor{} are quantised into post's types: {}",
                                quantised.size(),
                                quantised.size() == 1 ? "" : "s",
                                count_types(quantised))));
    }
    add_importance(plan, quantised, findings);
}

}  // namespace anamnesis::restore
