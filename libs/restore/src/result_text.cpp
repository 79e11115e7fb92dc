// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/result_text.hpp"

#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"

namespace anamnesis::restore {

Json to_json(const std::vector<Result>& results,
             const std::vector<checkpoint::Finding>& findings,
             double seconds) {
    Json outputs = Json::array();
    Json all = checkpoint::to_json(findings);
    for (const Result& result : results) {
        for (Json& finding : list_result_findings(result.receipt)) {
            all.push_back(std::move(finding));
        }
        outputs.push_back(Json::Object{{"path", result.path.string()},
                                       {"bytes_written", result.bytes_written},
                                       {"bytes_linked", result.bytes_linked},
                                       {"receipt", result.receipt}});
    }
    return Json::Object{
        {"seconds", seconds}, {"outputs", std::move(outputs)}, {"findings", std::move(all)}};
}

Json make_undo_json(const Result& result) {
    return Json::Object{{"path", result.path.string()}, {"bytes_restored", result.bytes_written}};
}

std::string make_drift_table(const Result& result) {
    const Json* drift = result.receipt.find("drift");
    if (drift == nullptr) {
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    for (const Json& row : drift->as_array("drift")) {
        const Json& layer = row.at("layer");
        rows.push_back({layer.is_null() ? "-" : layer.dump(),
                        row.at("part").as_string("part"),
                        report::short_number(row.at("drift_before").as_double("drift")),
                        report::short_number(row.at("drift_after").as_double("drift"))});
    }
    return report::text_table({">layer", "part", ">drift before", ">after"}, rows);
}

std::vector<std::string> list_warnings(const Result& result) {
    std::vector<std::string> warnings;
    for (const Json& finding : list_result_findings(result.receipt)) {
        warnings.push_back(format("{}; {}",
                                  finding.at("sentence").as_string("sentence"),
                                  finding.at("remedy").as_string("remedy")));
    }
    return warnings;
}

void refuse_result_warnings(const std::vector<Result>& results) {
    for (const Result& result : results) {
        if (const auto warnings = list_warnings(result); !warnings.empty()) {
            throw Error(ErrorKind::mismatch,
                        format("{} was written, but --strict takes a warning as a refusal: {}",
                               in_quotes(result.path.string(), 1000),
                               warnings.front()));
        }
    }
}

std::string describe_result(const Result& result, double seconds) {
    return format("{}: {} written{} in {:.2f} s",
                  result.path.string(),
                  human_bytes(result.bytes_written),
                  result.bytes_linked > 0 ? format(", {} shared", human_bytes(result.bytes_linked))
                                          : std::string(),
                  seconds);
}

std::string describe_plan(const Plan& plan) {
    const auto layers = plan.changed_layers();
    const std::string place =
        layers.empty() ? std::string() : format(" of layers {}", compact_list(layers));
    const std::string family =
        format("{} ({})", plan.post->model.family, plan.post->model.evidence);
    if (plan.merge != nullptr) {
        return format("{}: adapter {} merged into {} tensors{} of {}, repaired by method {}",
                      family,
                      plan.merge->match->adapter->path.string(),
                      plan.changes.size(),
                      place,
                      plan.pre->checkpoint.path().string(),
                      to_string(plan.request.selection.method));
    }
    return format("{}: method {}, {} in {} tensors{} from {} into {}",
                  family,
                  to_string(plan.request.selection.method),
                  human_bytes(plan.changed_bytes()),
                  plan.changes.size(),
                  place,
                  plan.pre->checkpoint.path().string(),
                  plan.post->checkpoint.path().string());
}

}  // namespace anamnesis::restore
