// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/drift_measures.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"
#include "merge_receipt.hpp"

namespace anamnesis::restore {
namespace {

/// Where a finding is that is known only once the rows are written.
constexpr const char* after_repair = "repaired";

Json list_rows(const TensorChange& change) {
    Json rows = Json::array();
    for (const RowSplice& splice : change.splices) {
        rows.push_back(Json::Array{splice.rows.begin, splice.rows.end});
    }
    return rows;
}

/// Drift of all changes of one layer and part together.
Json drift_by_layer(const Plan& plan, const std::vector<ChangeMeasure>& measures) {
    std::map<std::pair<std::int64_t, std::string>, std::pair<DriftSums, DriftSums>> sums;
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        const TensorChange& change = plan.changes[i];
        if (change.part == "scale" || measures[i].before.count == 0) {
            continue;
        }
        const std::int64_t layer = change.layer ? std::int64_t{change.layer->value} : -1;
        auto& [before, after] = sums[{layer, change.part}];
        before.merge(measures[i].before);
        after.merge(measures[i].after);
    }
    Json list = Json::array();
    for (const auto& [key, pair] : sums) {
        Json entry = Json::object();
        entry.set("layer", key.first < 0 ? Json() : Json(key.first));
        entry.set("part", key.second);
        entry.set("drift_before", pair.first.relative());
        entry.set("drift_after", pair.second.relative());
        if (pair.first.skipped > 0) {
            entry.set("non_finite_pairs", pair.first.skipped);
        }
        list.push_back(std::move(entry));
    }
    return list;
}

/// How far rounding moved rows that were quantised anew; nothing where none were.
std::optional<std::string> describe_rounding(const Json& receipt) {
    std::size_t count = 0;
    double farthest = 0.0;
    std::string name;
    for (const Json& tensor : receipt.at("tensors").as_array("tensors")) {
        if (const Json* rounding = tensor.find("rounding")) {
            ++count;
            if (const double distance = rounding->as_double("rounding"); distance >= farthest) {
                farthest = distance;
                name = tensor.at("name").as_string("name");
            }
        }
    }
    if (count == 0) {
        return std::nullopt;
    }
    return format(
        "{} tensors were quantised anew; rounding moved their rows by at most {:.2g} of "
        "their norm ({}); the receipt has each",
        count,
        farthest,
        name);
}

/// Repaired rows that are not all numbers: pre has such values, or ones that post's type cannot
/// hold. Block-quantised types have numbers in their place.
std::optional<checkpoint::Finding> find_non_finite(const Plan& plan,
                                                   const std::vector<ChangeMeasure>& measures) {
    std::vector<std::string> names;
    std::uint64_t in_pre = 0;
    std::uint64_t in_result = 0;
    for (std::size_t i = 0; i < measures.size(); ++i) {
        if (measures[i].non_finite_in_result > 0 || measures[i].non_finite_in_pre > 0) {
            names.push_back(plan.changes[i].post->name);
            in_pre += measures[i].non_finite_in_pre;
            in_result += measures[i].non_finite_in_result;
        }
    }
    if (names.empty()) {
        return std::nullopt;
    }
    checkpoint::Finding finding = checkpoint::make_finding(
        "non_finite",
        checkpoint::Severity::warning,
        names,
        in_result == 0
            ? format("pre has {} values that are NaN or infinite where rows were repaired ({}); "
                     "post's type holds numbers in their place, which mean nothing",
                     in_pre,
                     checkpoint::list_examples(names))
            : format("{} values of the repaired rows are NaN or infinite ({}); {}",
                     in_result,
                     checkpoint::list_examples(names),
                     in_pre > 0
                         ? format("pre has {} there", in_pre)
                         : std::string("pre has numbers there that post's type cannot hold")),
        in_pre > 0 ? "take another pre: 'anamnesis doctor' names its tensors"
                   : "convert post to a wider type first");
    finding.where = after_repair;
    return finding;
}

}  // namespace

checkpoint::Finding describe_unchanged(const Request& request) {
    const Method method = request.selection.method;
    checkpoint::Finding finding = checkpoint::make_finding(
        "nothing_changed",
        checkpoint::Severity::warning,
        {},
        format("nothing changed: the rows that --method {} wrote are post's, bit for bit",
               to_string(method)),
        method == Method::lerp  ? "give a larger --alpha: 0 is post, and 1 is pre"
        : method == Method::fit ? "give a smaller --mu: inf is post, and 0 is pre"
                                : "post may hold pre's values in its own type already");
    finding.where = after_repair;
    return finding;
}

std::vector<checkpoint::Finding> find_result_faults(const Plan& plan,
                                                    const std::vector<ChangeMeasure>& measures) {
    std::vector<checkpoint::Finding> findings;
    if (auto non_finite = find_non_finite(plan, measures)) {
        findings.push_back(*std::move(non_finite));
    }
    const bool is_post = std::ranges::all_of(measures, [](const ChangeMeasure& measure) {
        return measure.result_digest == measure.post_digest;
    });
    if (is_post && !measures.empty()) {
        findings.push_back(describe_unchanged(plan.request));
    }
    return findings;
}

std::vector<Json> list_result_findings(const Json& receipt) {
    std::vector<Json> found;
    if (const Json* findings = receipt.find("findings")) {
        for (const Json& finding : findings->as_array("findings")) {
            if (finding.at("where").as_string("where") == after_repair) {
                found.push_back(finding);
            }
        }
    }
    return found;
}

std::vector<std::string> list_notes(const Json& receipt) {
    std::vector<std::string> notes;
    if (auto rounding = describe_rounding(receipt)) {
        notes.push_back(*std::move(rounding));
    }
    return notes;
}

Json make_receipt(const Plan& plan, const std::vector<ChangeMeasure>& measures) {
    if (plan.merge != nullptr) {
        return make_merge_receipt(plan);
    }
    Json receipt = Json::object();
    receipt.set("anamnesis_receipt", receipt_version);
    receipt.set("created", make_timestamp());
    receipt.set("request", to_json(plan.request));
    receipt.set("pre", describe_source(*plan.pre));
    receipt.set("post", describe_source(*plan.post));
    receipt.set("bytes_changed", plan.changed_bytes());
    receipt.set("drift", drift_by_layer(plan, measures));
    Json tensors = Json::array();
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        const TensorChange& change = plan.changes[i];
        Json tensor = Json::Object{
            {"name", change.post->name},
            {"pre_name", change.pre->name},
            {"part", change.part},
            {"dtype", to_string(change.post->dtype)},
            {"rows", list_rows(change)},
            {"sha256",
             Json::Object{{"pre", measures[i].pre_digest},
                          {"post", measures[i].post_digest},
                          {"repaired", measures[i].result_digest}}},
        };
        if (is_block_quantised(change.post->dtype) && change.is_converted()) {
            tensor.set("pre_dtype", to_string(change.pre->dtype));
            tensor.set("rounding", measures[i].after.relative());
        }
        tensors.push_back(std::move(tensor));
    }
    receipt.set("tensors", std::move(tensors));
    std::vector<checkpoint::Finding> findings = plan.findings;
    std::ranges::move(find_result_faults(plan, measures), std::back_inserter(findings));
    // Older readers know the sentences alone.
    Json warnings = Json::array();
    for (const std::string& sentence : checkpoint::list_sentences(findings)) {
        warnings.push_back(sentence);
    }
    receipt.set("warnings", std::move(warnings));
    receipt.set("findings", checkpoint::to_json(findings));
    return receipt;
}

}  // namespace anamnesis::restore
