// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> jamba_layers(const ConfigReader& config) {
    const std::uint32_t period = config.count("attn_layer_period", 8);
    const std::uint32_t offset = config.count("attn_layer_offset", 4);
    if (period == 0) {
        throw Error(ErrorKind::malformed, "config key 'attn_layer_period' is 0");
    }
    return layers_by(layer_count(config), [=](std::uint32_t layer) {
        return Kinds{layer % period == offset ? LayerKind::full : LayerKind::linear};
    });
}

/// Attention and state space side by side in every layer.
std::vector<Layer> falcon_h1_layers(const ConfigReader& config) {
    return layers_by(layer_count(config),
                     [](std::uint32_t) { return Kinds{LayerKind::full, LayerKind::linear}; });
}

std::vector<Layer> bamba_layers(const ConfigReader& config) {
    auto layers = layers_all(layer_count(config), LayerKind::linear);
    for (const std::uint32_t layer :
         config.find_counts("attn_layer_indices").value_or(std::vector<std::uint32_t>{})) {
        if (layer >= layers.size()) {
            throw Error(ErrorKind::malformed,
                        format("config key 'attn_layer_indices' names layer {}, the last is {}",
                               layer,
                               layers.size() - 1));
        }
        layers[layer].kinds = {LayerKind::full};
    }
    return layers;
}

std::vector<Layer> granite_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types", "layers_block_type"})) {
        return *std::move(listed);
    }
    return layers_all(layer_count(config), LayerKind::linear);
}

/// Every block has one mixer, so the pattern counts feed-forward blocks as layers too.
std::vector<Layer> nemotron_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layers_block_type", "layer_types"})) {
        return *std::move(listed);
    }
    const auto pattern = config.find_word("hybrid_override_pattern");
    if (!pattern) {
        throw Error(ErrorKind::malformed,
                    "config.json has neither 'layers_block_type' nor 'hybrid_override_pattern'");
    }
    const std::uint32_t count = layer_count(config, static_cast<std::uint32_t>(pattern->size()));
    if (count != pattern->size()) {
        throw Error(ErrorKind::malformed,
                    format("config key 'hybrid_override_pattern' describes {} layers, "
                           "num_hidden_layers is {}",
                           pattern->size(),
                           count));
    }
    return layers_by(count, [&](std::uint32_t layer) {
        switch ((*pattern)[layer]) {
            case '*':
                return Kinds{LayerKind::full};
            case 'M':
                return Kinds{LayerKind::linear};
            case '-':
            case 'E':
                return Kinds{LayerKind::mlp};
            default:
                throw Error(ErrorKind::malformed,
                            format("config key 'hybrid_override_pattern' holds {}, expected M, *, "
                                   "- and E",
                                   in_quotes(*pattern)));
        }
    });
}

std::vector<Layer> zamba2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layers_block_type"})) {
        return *std::move(listed);
    }
    auto layers = layers_all(layer_count(config), LayerKind::linear);
    for (const std::uint32_t layer :
         config.find_counts("hybrid_layer_ids").value_or(std::vector<std::uint32_t>{})) {
        if (layer >= layers.size()) {
            throw Error(ErrorKind::malformed,
                        format("config key 'hybrid_layer_ids' names layer {}, the last is {}",
                               layer,
                               layers.size() - 1));
        }
        layers[layer].kinds = {LayerKind::full, LayerKind::linear};
    }
    return layers;
}

void describe_separate(Blueprint& blueprint,
                       const ConfigReader& config,
                       std::string_view module,
                       const HeadDefaults& defaults = {}) {
    blueprint.heads = heads_from(config, defaults);
    add(blueprint,
        SeparateProjections{
            .module = module,
            .heads = blueprint.heads,
            .columns = hidden_size_of(config),
            .bias = config.flag("attention_bias", false) ? Presence::required : Presence::absent});
}

void describe_jamba(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn");
    add_no_rotary(blueprint);
    blueprint.mixer_only = {in_layer("mamba.A_log"), in_layer("mamba.in_proj.weight")};
}

void describe_falcon_h1(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn");
    // Both multipliers reach the scores: one through the keys, one through queries and keys.
    const double input = config.find_number("attention_in_multiplier").value_or(1.0);
    const double key = config.find_number("key_multiplier").value_or(1.0);
    blueprint.position.attention_scale =
        input * input * key / std::sqrt(static_cast<double>(blueprint.heads->head_dim));
    add_rotary(blueprint, config);
}

void describe_bamba(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn");
    add_rotary(blueprint, config, {.partial_factor = 0.5});
    blueprint.mixer_only = {in_layer("mamba.A_log"), in_layer("mamba.in_proj.weight")};
}

void describe_granite(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn");
    blueprint.position.attention_scale = config.find_number("attention_multiplier");
    if (config.find_word("position_embedding_type") == "rope") {
        add_rotary(blueprint, config);
    } else {
        add_no_rotary(blueprint);
    }
    blueprint.mixer_only = {in_layer("mamba.A_log"), in_layer("mamba.in_proj.weight")};
}

void describe_nemotron(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "mixer", {.head_dim = 128});
    add_no_rotary(blueprint);
    blueprint.mixer_only = {in_layer("mixer.A_log"), in_layer("mixer.in_proj.weight")};
}

/// Hybrid layer i uses block i modulo `num_mem_blocks`; a block is stored under the first layer
/// that uses it.
std::vector<LayerIndex> homes_of_shared_blocks(const std::vector<Layer>& layers,
                                               std::uint32_t block_count) {
    if (block_count == 0) {
        throw Error(ErrorKind::malformed, "config key 'num_mem_blocks' is 0");
    }
    std::vector<LayerIndex> homes;
    std::vector<LayerIndex> first_users;
    std::size_t number = 0;
    for (const Layer& layer : layers) {
        homes.push_back(layer.index);
        if (layer.is_softmax()) {
            if (first_users.size() < block_count) {
                first_users.push_back(layer.index);
            }
            homes.back() = first_users[number % block_count];
            ++number;
        }
    }
    return homes;
}

void describe_zamba2(Blueprint& blueprint, const ConfigReader& config) {
    constexpr std::string_view module = "shared_transformer.self_attn";
    const std::uint64_t width = std::uint64_t{2} * hidden_size_of(config);
    HeadLayout heads;
    heads.query_heads = config.first_count({"num_attention_heads"});
    heads.kv_heads = config.count("num_key_value_heads", heads.query_heads);
    heads.head_dim = config.count(
        "attention_head_dim",
        heads.query_heads == 0 ? 0 : static_cast<std::uint32_t>(width / heads.query_heads));
    blueprint.heads = checked_heads(heads);
    add(blueprint,
        SeparateProjections{.module = module, .heads = blueprint.heads, .columns = width});
    const std::uint32_t rank = config.count("adapter_rank", 128);
    if (config.flag("use_shared_attention_adapter", false) && rank != 0) {
        for (const auto& [letter, role, count] :
             {std::tuple{'q', RowRole::query, heads.query_heads},
              std::tuple{'k', RowRole::key, heads.kv_heads},
              std::tuple{'v', RowRole::value, heads.kv_heads}}) {
            const std::string name =
                in_layer(format("{}.linear_{}_adapter_list.{{block}}", module, letter));
            blueprint.rules.push_back({.name = name + ".0.weight",
                                       .group = AttentionGroup::adapter,
                                       .layout = {.segments = {{.role = role, .rows = rank}}},
                                       .columns = width});
            blueprint.rules.push_back(
                {.name = name + ".1.weight",
                 .group = AttentionGroup::adapter,
                 .layout = {.segments = {{.role = role, .rows = heads.head_dim, .heads = count}}},
                 .columns = rank});
        }
    }
    blueprint.stored_in =
        homes_of_shared_blocks(blueprint.layers, config.count("num_mem_blocks", 1));
    blueprint.position.attention_scale = 1.0 / std::sqrt(heads.head_dim / 2.0);
    if (config.flag("use_mem_rope", false)) {
        add_rotary(blueprint, config);
    } else {
        add_no_rotary(blueprint);
    }
}

}  // namespace

std::span<const Architecture> state_space_architectures() {
    static const std::array architectures{
        Architecture{"jamba", {"jamba"}, verified, jamba_layers, describe_jamba},
        Architecture{"falcon_h1", {"falcon_h1"}, verified, falcon_h1_layers, describe_falcon_h1},
        Architecture{"bamba", {"bamba"}, verified, bamba_layers, describe_bamba},
        Architecture{
            "granitemoehybrid", {"granitemoehybrid"}, verified, granite_layers, describe_granite},
        Architecture{"nemotron_h", {"nemotron_h"}, verified, nemotron_layers, describe_nemotron},
        Architecture{"zamba2", {"zamba2"}, verified, zamba2_layers, describe_zamba2},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
