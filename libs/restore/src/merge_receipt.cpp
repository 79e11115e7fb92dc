// SPDX-License-Identifier: Apache-2.0
#include "merge_receipt.hpp"

#include <string>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"

namespace anamnesis::restore {
namespace {

Json list_ranges(const std::vector<EditedRows>& edits) {
    Json rows = Json::array();
    for (const EditedRows& edited : edits) {
        rows.push_back(Json::Array{edited.rows.begin, edited.rows.end, to_string(edited.edit)});
    }
    return rows;
}

/// The adapter's tensor that the rows come from.
const std::string& find_source(const MergedTensor& merged) {
    if (merged.saved != nullptr) {
        return merged.saved->saved->tensor->name;
    }
    return merged.is_bias ? merged.module->module->bias->name : merged.module->module->b->name;
}

}  // namespace

Json make_merge_receipt(const Plan& plan) {
    const checkpoint::Adapter& adapter = *plan.merge->match->adapter;
    Json tensors = Json::array();
    for (const MergedTensor& merged : plan.merge->tensors) {
        Json tensor = Json::Object{{"name", merged.base->name},
                                   {"from", find_source(merged)},
                                   {"dtype", to_string(merged.base->dtype)},
                                   {"rows", list_ranges(merged.edits)}};
        if (merged.module != nullptr) {
            tensor.set("scale", merged.module->scale);
        }
        tensors.push_back(std::move(tensor));
    }
    return Json::Object{{"anamnesis_receipt", receipt_version},
                        {"kind", "merge"},
                        {"created", make_timestamp()},
                        {"request", to_json(plan.request)},
                        {"rounding", to_string(plan.merge->rounding)},
                        {"pre", describe_source(*plan.pre)},
                        {"adapter",
                         Json::Object{{"path", adapter.path.string()},
                                      {"base_name", adapter.config.base_name},
                                      {"peft_version", adapter.config.peft_version}}},
                        {"bytes_changed", plan.changed_bytes()},
                        {"tensors", std::move(tensors)},
                        {"findings", checkpoint::to_json(plan.findings)}};
}

}  // namespace anamnesis::restore
