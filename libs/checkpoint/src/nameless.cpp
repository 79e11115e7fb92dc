// SPDX-License-Identifier: Apache-2.0
#include "nameless.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "layer_kinds.hpp"
#include "softmax_tensors.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// True where every name within a layer begins with one of `parts`.
bool has_only(const TensorNames& names, const std::vector<std::string_view>& parts) {
    return std::ranges::all_of(names.by_name(), [&](const auto& item) {
        const auto numbered = find_numbered(item.first);
        return !numbered || std::ranges::any_of(parts, [&](std::string_view part) {
            return numbered->rest.starts_with(part);
        });
    });
}

bool is_told_by(const TensorNames& names, const NamelessForm& form) {
    const auto is_there = [&](std::string_view sign) { return names.any_ends_with(sign); };
    return !form.signs.empty() && std::ranges::all_of(form.signs, is_there) &&
           std::ranges::none_of(form.counter_signs, is_there) &&
           (form.only_parts.empty() || has_only(names, form.only_parts));
}

const Family* tell_family(const TensorNames& names) {
    for (const Family& family : all_families()) {
        if (family.nameless && is_told_by(names, *family.nameless)) {
            return &family;
        }
    }
    return nullptr;
}

bool is_softmax_layer(const TensorNames& names, std::uint32_t layer) {
    const auto has = [&](std::string_view part) {
        return names.find(format("layers.{}.self_attn.{}", layer, part)) != nullptr;
    };
    return has("q_proj.weight") && !has("z_proj.weight") && !has("A_log");
}

/// Layers that the file does not touch stay without a kind.
std::vector<Layer> tell_layers(const TensorNames& names) {
    const auto& present = names.layers();
    const std::uint32_t count = present.empty() ? 0 : present.rbegin()->first + 1;
    if (count > 100'000) {
        throw Error(ErrorKind::malformed,
                    format("tensor {} belongs to layer {}, more than any model has",
                           in_quotes(present.rbegin()->second),
                           count - 1));
    }
    return make_layers(count, [&](std::uint32_t layer) {
        return !present.contains(layer)         ? Kinds{}
               : is_softmax_layer(names, layer) ? Kinds{LayerKind::full}
                                                : Kinds{LayerKind::linear};
    });
}

std::uint64_t count_rows_of_first(const TensorNames& names, std::string_view part) {
    for (const auto& [layer, name] : names.layers()) {
        const TensorEntry* tensor = names.find(format("layers.{}.self_attn.{}", layer, part));
        if (tensor != nullptr && is_softmax_layer(names, layer)) {
            return tensor->rows();
        }
    }
    return 0;
}

/// A config with what the shapes tell; the rest are the defaults of the family.
Json make_config(const TensorNames& names, const Family& family) {
    const NamelessForm& named = *family.nameless;
    const std::uint64_t head_dim = count_rows_of_first(names, "q_norm.weight");
    const std::uint64_t query_rows = count_rows_of_first(names, "q_proj.weight");
    const std::uint64_t key_rows = count_rows_of_first(names, "k_proj.weight");
    if (head_dim == 0 || query_rows % (named.query_parts * head_dim) != 0 ||
        key_rows % head_dim != 0) {
        throw Error(ErrorKind::unsupported,
                    format("there is no config.json, and the shapes of the family {} do not tell "
                           "its heads: q_norm has {} rows, q_proj {}, k_proj {}",
                           in_quotes(family.name),
                           head_dim,
                           query_rows,
                           key_rows));
    }
    Json config = Json::parse(named.config);
    config.set("model_type", family.name);
    config.set("num_attention_heads", query_rows / (named.query_parts * head_dim));
    config.set("num_key_value_heads", key_rows / head_dim);
    config.set("head_dim", head_dim);
    const std::uint64_t layers = names.layers().empty() ? 0 : names.layers().rbegin()->first + 1U;
    config.set("num_hidden_layers", layers);
    for (const std::string_view name : {"embed_tokens.weight", "layers.0.input_layernorm.weight"}) {
        if (const TensorEntry* tensor = names.find(name); tensor != nullptr) {
            config.set("hidden_size", tensor->shape.empty() ? 0 : tensor->shape.back());
            break;
        }
    }
    if (config.find("hidden_size") == nullptr) {
        for (const auto& [name, entries] : names.by_name()) {
            if (name.ends_with("layernorm.weight")) {
                config.set("hidden_size", entries.front()->rows());
                break;
            }
        }
    }
    return config;
}

}  // namespace

Blueprint blueprint_without_config(const TensorNames& names,
                                   const std::optional<std::string>& name) {
    const Family* family = name ? find_family(*name) : tell_family(names);
    if (name && family == nullptr) {
        refuse_family(*name);
    }
    if (family == nullptr || !family->nameless) {
        throw Error(ErrorKind::unsupported,
                    family == nullptr
                        ? std::string("there is no config.json, and the tensor names do not tell "
                                      "the family: pass one with --config FILE, or --family NAME")
                        : format("there is no config.json, and the family {} cannot be read from "
                                 "names and shapes alone: pass one with --config FILE",
                                 in_quotes(family->name)));
    }
    std::vector<Layer> layers = tell_layers(names);
    if (family->nameless->has_gains) {
        const Json config = make_config(names, *family);
        return make_blueprint(*family, ConfigReader(config), {.layers = std::move(layers)});
    }
    Blueprint blueprint;
    blueprint.family = family->name;
    blueprint.evidence = family->evidence;
    blueprint.layers = std::move(layers);
    blueprint.specs.resize(blueprint.layers.size());
    blueprint.rotary.pairs = RotaryLayout::Pairs::half_split;
    add(blueprint, SeparateProjections{});
    plan_softmax_tensors(blueprint);
    return blueprint;
}

}  // namespace anamnesis::checkpoint
