// SPDX-License-Identifier: Apache-2.0
#include "nameless.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Families whose softmax layers are `self_attn` with separate projections, so that names and
/// shapes can stand in for a config.
struct NamedFamily {
    std::string_view family;
    std::uint32_t query_parts;  ///< 2: q_proj holds gates as well
    bool has_gains;             ///< QK-norm gains tell the head size
};
constexpr std::array named_families{
    NamedFamily{"qwen3_next", 2, true},
    NamedFamily{"qwen3_5", 2, true},
    NamedFamily{"hypenet", 1, true},
    NamedFamily{"qwen3", 1, true},
    NamedFamily{"qwen3_moe", 1, true},
    NamedFamily{"llama", 1, false},
    NamedFamily{"mistral", 1, false},
    NamedFamily{"mixtral", 1, false},
};

/// Names of layers that hold nothing but Llama's or Qwen3's parts.
bool has_only(const TensorNames& names, const std::vector<std::string_view>& parts) {
    return std::ranges::all_of(names.by_name(), [&](const auto& item) {
        const auto numbered = find_numbered(item.first);
        return !numbered || std::ranges::any_of(parts, [&](std::string_view part) {
            return numbered->rest.starts_with(part);
        });
    });
}

std::optional<std::string_view> find_family(const TensorNames& names) {
    if (names.any_ends_with("linear_attn.in_proj_qkvz.weight")) {
        return "qwen3_next";
    }
    if (names.any_ends_with("linear_attn.in_proj_qkv.weight")) {
        return "qwen3_5";
    }
    if (names.any_ends_with("self_attn.o_gate.weight") &&
        names.any_ends_with("self_attn.z_proj.weight")) {
        return "hypenet";
    }
    std::vector<std::string_view> parts{"input_layernorm.",
                                        "post_attention_layernorm.",
                                        "mlp.",
                                        "self_attn.q_proj.weight",
                                        "self_attn.k_proj.weight",
                                        "self_attn.v_proj.weight",
                                        "self_attn.o_proj.weight"};
    if (!names.any_ends_with("self_attn.q_proj.weight")) {
        return std::nullopt;
    }
    if (has_only(names, parts)) {
        return "llama";
    }
    parts.insert(parts.end(), {"self_attn.q_norm.weight", "self_attn.k_norm.weight"});
    if (has_only(names, parts)) {
        return names.any_ends_with("mlp.gate.weight") ? "qwen3_moe" : "qwen3";
    }
    return std::nullopt;
}

bool is_softmax_layer(const TensorNames& names, std::uint32_t layer) {
    const auto has = [&](std::string_view part) {
        return names.find(format("layers.{}.self_attn.{}", layer, part)) != nullptr;
    };
    return has("q_proj.weight") && !has("z_proj.weight") && !has("A_log");
}

/// Layers that the file does not touch stay without a kind.
std::vector<Layer> layers_from(const TensorNames& names) {
    const auto& present = names.layers();
    const std::uint32_t count = present.empty() ? 0 : present.rbegin()->first + 1;
    if (count > 100'000) {
        throw Error(ErrorKind::malformed,
                    format("tensor {} belongs to layer {}, more than any model has",
                           in_quotes(present.rbegin()->second),
                           count - 1));
    }
    return layers_by(count, [&](std::uint32_t layer) {
        return !present.contains(layer)         ? Kinds{}
               : is_softmax_layer(names, layer) ? Kinds{LayerKind::full}
                                                : Kinds{LayerKind::linear};
    });
}

std::uint64_t rows_of_first(const TensorNames& names, std::string_view part) {
    for (const auto& [layer, name] : names.layers()) {
        const TensorEntry* tensor = names.find(format("layers.{}.self_attn.{}", layer, part));
        if (tensor != nullptr && is_softmax_layer(names, layer)) {
            return tensor->rows();
        }
    }
    return 0;
}

/// A config with what the shapes tell; the rest are the defaults of the family.
Json config_from(const TensorNames& names, const NamedFamily& named) {
    const std::uint64_t head_dim = rows_of_first(names, "q_norm.weight");
    const std::uint64_t query_rows = rows_of_first(names, "q_proj.weight");
    const std::uint64_t key_rows = rows_of_first(names, "k_proj.weight");
    if (head_dim == 0 || query_rows % (named.query_parts * head_dim) != 0 ||
        key_rows % head_dim != 0) {
        throw Error(ErrorKind::unsupported,
                    format("there is no config.json, and the shapes of the family {} do not tell "
                           "its heads: q_norm has {} rows, q_proj {}, k_proj {}",
                           in_quotes(named.family),
                           head_dim,
                           query_rows,
                           key_rows));
    }
    Json config = Json::object();
    config.set("model_type", named.family);
    config.set("num_attention_heads", query_rows / (named.query_parts * head_dim));
    config.set("num_key_value_heads", key_rows / head_dim);
    config.set("head_dim", head_dim);
    const std::uint64_t layers = names.layers().empty() ? 0 : names.layers().rbegin()->first + 1U;
    config.set("num_hidden_layers", layers);
    // Every released HypeNet is without rotary encoding in its softmax layers.
    config.set("attn_use_rope", named.family != "hypenet");
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
                                   const std::optional<std::string>& family) {
    std::string_view name;
    if (family) {
        const Architecture* known = find_architecture(*family);
        if (known == nullptr) {
            refuse_family(*family);
        }
        name = known->family;
    } else if (const auto told = find_family(names)) {
        name = *told;
    }
    const auto* const named = std::ranges::find(named_families, name, &NamedFamily::family);
    if (named == named_families.end()) {
        throw Error(ErrorKind::unsupported,
                    name.empty()
                        ? std::string("there is no config.json, and the tensor names do not tell "
                                      "the family: pass one with --config FILE, or --family NAME")
                        : format("there is no config.json, and the family {} cannot be read from "
                                 "names and shapes alone: pass one with --config FILE",
                                 in_quotes(name)));
    }
    Blueprint blueprint;
    const std::vector<Layer> layers = layers_from(names);
    if (named->has_gains) {
        const Json config = config_from(names, *named);
        blueprint = make_blueprint(*find_architecture(name), ConfigReader(config));
    } else {
        blueprint.family = name;
        blueprint.evidence = find_architecture(name)->evidence;
        blueprint.rotary.pairs = RotaryLayout::Pairs::half_split;
        add(blueprint, SeparateProjections{});
    }
    blueprint.layers = layers;
    return blueprint;
}

}  // namespace anamnesis::checkpoint
