// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_minimax_layers(const ConfigReader& config) {
    const LayerKind softmax = config.has("sliding_window") ? LayerKind::sliding : LayerKind::full;
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), softmax);
    }
    const std::uint32_t count = read_layer_count(config);
    if (const auto types = config.find_counts("attn_type_list")) {
        if (types->size() != count) {
            throw Error(ErrorKind::malformed,
                        format("config key 'attn_type_list' lists {} layers, num_hidden_layers "
                               "is {}",
                               types->size(),
                               count));
        }
        return make_layers(count, [&](std::uint32_t layer) {
            return Kinds{(*types)[layer] == 1 ? softmax : LayerKind::linear};
        });
    }
    if (config.find_word("model_type") != "minimax") {
        throw Error(ErrorKind::malformed,
                    "config.json has neither 'attn_type_list' nor 'layer_types'");
    }
    return make_layers(count, [=](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? softmax : LayerKind::linear};
    });
}

void plan_minimax_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::absent);
    add_rotary(blueprint, config);
    // Only the port in transformers ran here; of the original the pattern of layers is recalled.
    if (config.find_word("model_type") != "minimax") {
        blueprint.evidence = from_memory;
    }
    blueprint.softmax.mixer_only = {in_layer("self_attn.qkv_proj.weight"),
                                    in_layer("self_attn.output_gate.weight")};
}

/// A factor under its names in transformers and in the original code.
double read_factor(const ConfigReader& config, std::string_view key, std::string_view original) {
    return config.find_number(key).value_or(config.find_number(original).value_or(1.0));
}

ResidualSpec read_residual(const ConfigReader& config,
                           std::string_view part,
                           std::string_view original) {
    const auto factor = [&](std::string_view name) {
        return read_factor(
            config, format("{}_{}_factor", part, name), format("layernorm_{}_{}", original, name));
    };
    return {
        .norms = config.flag("postnorm", true) ? NormPlacement::of_stream : NormPlacement::before,
        .stream_scale = factor("alpha"),
        .branch_scale = factor("beta")};
}

LightningSpec make_lightning(const Blueprint& blueprint, std::uint32_t layer) {
    const HeadLayout& heads = *blueprint.heads;
    // The original divides by one less than there are layers, and a little more.
    const double depth = layer / (static_cast<double>(blueprint.layers.size()) - 1.0 + 1e-5);
    return {.heads = {.query_heads = heads.query_heads,
                      .kv_heads = heads.query_heads,
                      .head_dim = heads.head_dim},
            .output_norm = Part::present,
            .output_gate = Part::present,
            .output_eps = 1e-6,
            .slopes = Slopes::plain,
            .slope_scale = 1.0 - depth + 1e-5,
            .fused = FusedRows::by_head,
            .is_activated = true};
}

MixtureSpec read_minimax_mixture(const ConfigReader& config) {
    if (config.count("shared_intermediate_size", 0) != 0) {
        throw Error(ErrorKind::unsupported,
                    "shared_intermediate_size is not 0: MiniMax's shared experts do not run here");
    }
    MixtureSpec spec{.experts = read_expert_count(config, 8),
                     .expert = read_dense(config, 14'336),
                     .names = {.gate = "w1", .up = "w3", .down = "w2"}};
    spec.experts_per_token = read_experts_per_token(config, spec.experts, 2);
    return spec;
}

void plan_minimax_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    SoftmaxKinds kinds = make_softmax_kinds(blueprint, config);
    set_default_theta(kinds, blueprint, 1e6);
    const ResidualSpec softmax = read_residual(config, "full_attn", "full_attention");
    const ResidualSpec linear = read_residual(config, "linear_attn", "linear_attention");
    const ResidualSpec feed_forward = read_residual(config, "mlp", "mlp");
    const MixtureSpec mixture = read_minimax_mixture(config);
    plan_body(blueprint, [&](const Layer& layer) {
        LayerPlan plan{.spec = {.feed_forward = mixture, .feed_forward_residual = feed_forward},
                       .mixer = {.name = "self_attn",
                                 .renamed = {{role::output_gate, "output_gate"},
                                             {role::output_norm, "norm.weight"}}},
                       .feed_forward = {.name = "block_sparse_moe"}};
        if (layer.is_softmax()) {
            plan.spec.mixer = choose_attention(kinds, layer);
            plan.spec.mixer_residual = softmax;
        } else {
            plan.spec.mixer = make_lightning(blueprint, layer.index.value);
            plan.spec.mixer_residual = linear;
            plan.mixer.renamed.push_back({role::output, "out_proj"});
        }
        return plan;
    });
}

}  // namespace

namespace families {

Family minimax() {
    return {.name = "minimax",
            .model_types = {"minimax", "minimax_text_01"},
            .evidence = verified,
            .read_layers = read_minimax_layers,
            .plan_attention = plan_minimax_attention,
            .plan_layers = plan_minimax_layers,
            .classes = {"MiniMaxText01ForCausalLM"},
            .defaults = {.norm_eps = 1e-5, .context_length = 131'072}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
