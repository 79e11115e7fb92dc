// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_zamba2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layers_block_type"})) {
        return *std::move(listed);
    }
    auto layers = make_uniform_layers(read_layer_count(config), LayerKind::linear);
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

/// Hybrid layer i uses block i modulo `num_mem_blocks`; a block is stored under the first layer
/// that uses it.
std::vector<LayerIndex> find_homes_of_shared_blocks(const std::vector<Layer>& layers,
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

void plan_zamba2_attention(Blueprint& blueprint, const ConfigReader& config) {
    constexpr std::string_view module = "shared_transformer.self_attn";
    const std::uint64_t width = std::uint64_t{2} * read_hidden_size(config);
    HeadLayout heads;
    heads.query_heads = config.first_count({"num_attention_heads"});
    heads.kv_heads = config.count("num_key_value_heads", heads.query_heads);
    heads.head_dim = config.count(
        "attention_head_dim",
        heads.query_heads == 0 ? 0 : static_cast<std::uint32_t>(width / heads.query_heads));
    blueprint.heads = check_heads(heads);
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
            blueprint.softmax.tensors.push_back(
                {.name = name + ".0.weight",
                 .group = AttentionGroup::adapter,
                 .layout = {.segments = {{.role = role, .rows = rank}}},
                 .columns = width});
            blueprint.softmax.tensors.push_back(
                {.name = name + ".1.weight",
                 .group = AttentionGroup::adapter,
                 .layout = {.segments = {{.role = role, .rows = heads.head_dim, .heads = count}}},
                 .columns = rank});
        }
    }
    blueprint.softmax.stored_in =
        find_homes_of_shared_blocks(blueprint.layers, config.count("num_mem_blocks", 1));
    blueprint.position.attention_scale = 1.0 / std::sqrt(heads.head_dim / 2.0);
    if (config.flag("use_mem_rope", false)) {
        add_rotary(blueprint, config);
    } else {
        add_no_rotary(blueprint);
    }
}

}  // namespace

namespace families {

Family zamba2() {
    return {.name = "zamba2",
            .model_types = {"zamba2"},
            .evidence = verified,
            .read_layers = read_zamba2_layers,
            .plan_attention = plan_zamba2_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
