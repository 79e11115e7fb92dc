// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/adapter_config.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/adapter_inspection.hpp"

namespace anamnesis::restore {
namespace {

std::vector<std::string> list_variants(const checkpoint::AdapterConfig& config) {
    std::vector<std::string> variants;
    const auto add = [&](bool is_there, const char* name) {
        if (is_there) {
            variants.emplace_back(name);
        }
    };
    add(config.has_root_scale, "rslora");
    add(config.is_dora, "dora");
    add(config.has_lora_bias, "lora_bias");
    add(config.is_fan_in_fan_out, "fan_in_fan_out");
    add(!config.rank_pattern.empty(), "rank_pattern");
    add(!config.alpha_pattern.empty(), "alpha_pattern");
    add(!config.modules_to_save.empty(), "modules_to_save");
    add(!config.token_indices.empty(), "trainable_token_indices");
    add(config.bias != "none", "bias");
    return variants;
}

template <class Values>
Json to_array(const Values& values) {
    Json list = Json::array();
    for (const auto& value : values) {
        list.push_back(Json(value));
    }
    return list;
}

Json to_pattern(const checkpoint::AdapterConfig::Pattern& pattern) {
    Json object = Json::object();
    for (const auto& [expression, value] : pattern) {
        object.set(expression, value);
    }
    return object;
}

template <class Key>
std::vector<Key> list_keys(const std::map<Key, std::uint64_t>& counts) {
    std::vector<Key> keys;
    for (const auto& [key, count] : counts) {
        keys.push_back(key);
    }
    return keys;
}

Json to_json(const KindCoverage& coverage) {
    Json modules = Json::array();
    for (const ModuleGroup& group : coverage.modules) {
        modules.push_back(Json::Object{{"name", group.name},
                                       {"modules", group.modules},
                                       {"layers", to_array(group.layers)},
                                       {"layers_in_base", to_array(group.all_layers)},
                                       {"ranks", to_array(list_keys(group.ranks))},
                                       {"scales", to_array(list_keys(group.scales))}});
    }
    return Json::Object{{"kind", coverage.kind}, {"modules", std::move(modules)}};
}

std::string list_numbers(const std::map<double, std::uint64_t>& counts) {
    std::vector<std::string> numbers;
    for (const auto& [value, count] : counts) {
        numbers.push_back(report::short_number(value));
    }
    return join(numbers, ",");
}

std::string list_numbers(const std::map<std::uint64_t, std::uint64_t>& counts) {
    std::vector<std::string> numbers;
    for (const auto& [value, count] : counts) {
        numbers.push_back(format("{}", value));
    }
    return join(numbers, ",");
}

std::string make_coverage_table(const AdapterInspection& inspection) {
    std::vector<std::vector<std::string>> rows;
    for (const KindCoverage& coverage : inspection.coverage) {
        for (const ModuleGroup& group : coverage.modules) {
            const std::string layers = group.layers.empty() ? "-" : compact_list(group.layers);
            const std::string of =
                group.all_layers.empty()
                    ? std::string()
                    : format("{} of {}", group.layers.size(), group.all_layers.size());
            rows.push_back({coverage.kind,
                            group.name,
                            of,
                            layers,
                            list_numbers(group.ranks),
                            list_numbers(group.scales)});
        }
    }
    return report::text_table({"kind", "module", ">touched", "layers", ">rank", ">scale"}, rows);
}

std::string make_bend_table(const std::vector<Bend>& bends) {
    std::vector<std::vector<std::string>> rows;
    for (const Bend& bend : bends) {
        rows.push_back({format("{}", bend.layer),
                        bend.kind,
                        bend.part,
                        report::short_number(bend.drift),
                        report::short_number(bend.difference)});
    }
    return report::text_table({">layer", "kind", "part", ">drift", ">|W - W0|"}, rows);
}

}  // namespace

Json to_json(const AdapterInspection& inspection) {
    const checkpoint::Adapter& adapter = *inspection.adapter;
    const checkpoint::AdapterConfig& config = adapter.config;
    std::vector<std::string> saved;
    for (const checkpoint::SavedTensor& tensor : adapter.saved) {
        saved.push_back(tensor.tensor->name);
    }
    Json coverage = Json::array();
    for (const KindCoverage& kind : inspection.coverage) {
        coverage.push_back(to_json(kind));
    }
    Json json = Json::Object{
        {"kind", "adapter"},
        {"path", adapter.path.string()},
        {"base_name", config.base_name},
        {"peft_version", config.peft_version},
        {"rank", config.rank},
        {"alpha", config.alpha},
        {"scale", checkpoint::make_scale(config, {.rank = config.rank, .alpha = config.alpha})},
        {"variants", to_array(list_variants(config))},
        {"rank_pattern", to_pattern(config.rank_pattern)},
        {"alpha_pattern", to_pattern(config.alpha_pattern)},
        {"bias", config.bias},
        {"initialisation", config.initialisation},
        {"target_modules", to_array(config.target_modules)},
        {"modules_to_save", to_array(config.modules_to_save)},
        {"tensors", std::uint64_t{adapter.weights.tensors().size()}},
        {"bytes", adapter.weights.tensor_bytes()},
        {"parameters", adapter.weights.parameter_count()},
        {"modules", std::uint64_t{adapter.modules.size()}},
        {"saved", to_array(saved)},
        {"coverage", std::move(coverage)}};
    if (inspection.match != nullptr) {
        const checkpoint::AdapterMatch& match = *inspection.match;
        Json bends = Json::array();
        for (const Bend& bend : inspection.bends) {
            bends.push_back(Json::Object{{"layer", bend.layer},
                                         {"kind", bend.kind},
                                         {"part", bend.part},
                                         {"difference", bend.difference},
                                         {"drift", bend.drift}});
        }
        json.set("base",
                 Json::Object{{"path", match.base->checkpoint.path().string()},
                              {"family", match.base->model.family},
                              {"adapter_prefix", match.adapter_prefix},
                              {"base_prefix", match.base_prefix},
                              {"matched", std::uint64_t{match.modules.size()}},
                              {"unmatched", to_array(match.unmatched)},
                              {"halves", to_array(match.halves)},
                              {"problems", to_array(match.problems)}});
        json.set("bends", std::move(bends));
    }
    json.set("findings", checkpoint::to_json(inspection.findings));
    return json;
}

std::string to_text(const AdapterInspection& inspection) {
    const checkpoint::Adapter& adapter = *inspection.adapter;
    const checkpoint::AdapterConfig& config = adapter.config;
    const std::vector<std::string> variants = list_variants(config);
    std::string text = format(
        "{}: LoRA adapter of {}\nrank {}, {}, scale {}; {}\n{} modules, {} tensors, {} "
        "parameters, {}\n",
        adapter.path.string(),
        config.base_name.empty() ? "an unnamed base" : in_quotes(config.base_name),
        config.rank,
        config.has_unit_scale ? std::string("no alpha")
                              : format("alpha {}", report::short_number(config.alpha)),
        report::short_number(
            checkpoint::make_scale(config, {.rank = config.rank, .alpha = config.alpha})),
        variants.empty() ? "no variants" : join(variants, ", "),
        adapter.modules.size(),
        adapter.weights.tensors().size(),
        human_count(adapter.weights.parameter_count()),
        human_bytes(adapter.weights.tensor_bytes()));
    if (!adapter.saved.empty()) {
        std::vector<std::string> saved;
        for (const checkpoint::SavedTensor& tensor : adapter.saved) {
            saved.push_back(tensor.name);
        }
        text += format("saved in full: {}\n", checkpoint::list_examples(saved));
    }
    text += make_coverage_table(inspection);
    if (inspection.match != nullptr) {
        text += inspection.bends.empty()
                    ? std::string("the adapter touches no row of W_Q or W_K of softmax attention\n")
                    : make_bend_table(inspection.bends);
    }
    for (const checkpoint::Finding& finding : inspection.findings) {
        text += format("{}: {}\n", checkpoint::to_string(finding.severity), describe(finding));
    }
    return text;
}

}  // namespace anamnesis::restore
