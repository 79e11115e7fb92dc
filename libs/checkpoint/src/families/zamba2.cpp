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
#include "layer_plan.hpp"
#include "mamba_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

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
                 .columns = width,
                 .role = role::to_adapter_input_role(to_string(role))});
            blueprint.softmax.tensors.push_back(
                {.name = name + ".1.weight",
                 .group = AttentionGroup::adapter,
                 .layout = {.segments = {{.role = role, .rows = heads.head_dim, .heads = count}}},
                 .columns = rank,
                 .role = role::to_adapter_output_role(to_string(role))});
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

Mamba2Spec read_zamba2_mamba(const ConfigReader& config, const Blueprint& blueprint) {
    const std::uint32_t inner = read_size(config, "mamba_expand", 2) * blueprint.hidden_size;
    const std::uint32_t heads = read_size(config, "n_mamba_heads", 8);
    const bool has_bias = config.flag("add_bias_linear", false);
    Mamba2Spec spec{.heads = heads,
                    .head_dim = check_size(inner / heads, "n_mamba_heads"),
                    .groups = read_size(config, "mamba_ngroups", 1),
                    .state_size = read_size(config, "mamba_d_state", 64),
                    .conv_width = read_size(config, "mamba_d_conv", 4),
                    .has_input_bias = has_bias,
                    .has_output_bias = has_bias,
                    // Whatever the config says.
                    .norm_eps = 1e-5};
    read_step_floor(config, spec);
    check_mamba2(spec, inner);
    return spec;
}

SharedBlockSpec read_shared_block(const ConfigReader& config, const Blueprint& blueprint) {
    const std::uint32_t hidden = blueprint.hidden_size;
    SharedBlockSpec block{
        .attention = make_attention(blueprint),
        .feed_forward = {.width = read_size(config, "intermediate_size", 4 * hidden),
                         .activation = read_activation(config, "hidden_act", Activation::gelu),
                         .is_fused = true},
        .mamba = read_zamba2_mamba(config, blueprint),
        .norm_eps = blueprint.norm_eps,
        .adapter_rank = config.count("adapter_rank", 128)};
    block.adapts_attention =
        block.adapter_rank != 0 && config.flag("use_shared_attention_adapter", false);
    return block;
}

/// Every layer has a state space; hybrid ones feed it what a shared block makes of the stream.
void plan_zamba2_layers(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.norm_eps = config.find_number("rms_norm_eps").value_or(1e-5);
    SharedBlockSpec block = read_shared_block(config, blueprint);
    plan_body(blueprint,
              [&](const Layer& layer) {
                  LayerPlan plan{.spec = {.feed_forward = NoFeedForward()},
                                 .mixer = {.name = "mamba"}};
                  if (is_only(layer, LayerKind::linear)) {
                      plan.spec.mixer = block.mamba;
                  } else if (layer.kinds == Kinds{LayerKind::full, LayerKind::linear}) {
                      block.home = blueprint.softmax.stored_in[layer.index.value];
                      plan.spec.mixer = block;
                      plan.spec.mixer_residual.norms = NormPlacement::inside;
                      ++block.user;
                  } else {
                      refuse_layer(blueprint, layer);
                  }
                  return plan;
              },
              {.final_norm = "final_layernorm"});
}

}  // namespace

namespace families {

Family zamba2() {
    return {.name = "zamba2",
            .model_types = {"zamba2"},
            .evidence = verified,
            .read_layers = read_zamba2_layers,
            .plan_attention = plan_zamba2_attention,
            .plan_layers = plan_zamba2_layers,
            .defaults = {.context_length = 4096}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
