// SPDX-License-Identifier: Apache-2.0
#include "bailing_parts.hpp"

#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string_view>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "latent_parts.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

[[noreturn]] void refuse(std::string_view key, std::string_view value) {
    throw Error(ErrorKind::unsupported,
                format("Ling with {} {} does not run here", in_quotes(key), value));
}

}  // namespace

void refuse_flags(const ConfigReader& config, std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
        if (config.flag(key, false)) {
            refuse(key, "true");
        }
    }
}

void refuse_denied(const ConfigReader& config, std::initializer_list<std::string_view> keys) {
    for (const std::string_view key : keys) {
        if (!config.flag(key, true)) {
            refuse(key, "false");
        }
    }
}

void expect_word(const ConfigReader& config, std::string_view key, std::string_view expected) {
    if (const auto word = config.find_word(key); word && *word != expected) {
        throw Error(ErrorKind::unsupported,
                    format("{} is {}, which does not run here; {} does",
                           in_quotes(key),
                           in_quotes(*word),
                           expected));
    }
}

void refuse_other_ling(const ConfigReader& config) {
    refuse_flags(config, {"use_bias", "use_qkv_bias"});
    expect_word(config, "score_function", "sigmoid");
}

void refuse_other_ling_2(const ConfigReader& config) {
    refuse_other_ling(config);
    refuse_flags(
        config,
        {"linear_silu", "use_linear_silu", "norm_head", "norm_softmax", "rope_traditional"});
    refuse_denied(config,
                  {"linear_rope",
                   "rope_interleave",
                   "norm_topk_prob",
                   "use_rmsnorm",
                   "moe_router_enable_expert_bias",
                   "moe_router_enable_routed_scaling",
                   "moe_router_enable_shared_expert"});
    expect_word(config, "scoring_func", "sigmoid");
    expect_word(config, "hidden_act", "silu");
    if (config.is_null("num_experts")) {
        refuse("num_experts", "null");
    }
    if (config.count("num_experts_per_tok", 8) == 1) {
        refuse("num_experts_per_tok", "1");  // its weight would not be 1
    }
    const std::uint32_t width = config.count("moe_intermediate_size", 0);
    if (config.count("moe_shared_expert_intermediate_size", width) != width) {
        throw Error(ErrorKind::unsupported,
                    "Ling whose shared expert has another width than the others "
                    "('moe_shared_expert_intermediate_size') does not run here");
    }
}

MixtureSpec read_ling_experts(const ConfigReader& config, const LingDefaults& defaults) {
    MixtureSpec spec = read_latent_mixture(config, defaults.experts);
    spec.router = read_corrected_router(
        config, spec.experts, {.groups = defaults.groups, .kept_groups = defaults.kept_groups});
    spec.router.scale = config.find_number("routed_scaling_factor").value_or(defaults.scale);
    spec.router.is_corrected = config.flag("moe_router_enable_expert_bias", true);
    return spec;
}

LightningSpec make_ling_lightning(const ConfigReader& config,
                                  const Blueprint& blueprint,
                                  const HeadLayout& heads,
                                  LayerIndex layer,
                                  const LightningDefaults& defaults) {
    const auto layers = static_cast<double>(blueprint.layers.size());
    if (blueprint.layers.size() < 2) {
        throw Error(ErrorKind::malformed,
                    "num_hidden_layers is 1: the decay of Ling's lightning attention divides by "
                    "one less than there are layers");
    }
    LightningSpec spec{
        .heads = {.query_heads = heads.query_heads,
                  .kv_heads = heads.query_heads,
                  .head_dim = heads.head_dim},
        .scale = 1.0 / std::sqrt(static_cast<double>(heads.head_dim)),
        .rotary = make_rotary_settings(blueprint),
        .qk_norm = config.flag("use_qk_norm", defaults.has_qk_norm) ? Part::present : Part::absent,
        .output_norm = Part::present,
        .norm_groups = read_size(config, "group_norm_size", defaults.norm_groups),
        .output_gate = Part::present,
        .slopes = Slopes::alibi,
        // Counted from -1 for the first layer, whose factor is above 1.
        .slope_scale = 1.0 - (static_cast<double>(layer.value) - 1.0) / (layers - 1.0) + 1e-5,
        .fused = FusedRows::blocks};
    if (heads.query_heads * heads.head_dim % spec.norm_groups != 0) {
        throw Error(ErrorKind::malformed,
                    format("config key 'group_norm_size' is {}, which does not divide {} rows",
                           spec.norm_groups,
                           heads.query_heads * heads.head_dim));
    }
    return spec;
}

void plan_ling_body(Blueprint& blueprint,
                    const ConfigReader& config,
                    const LingDefaults& defaults,
                    const std::function<MixerSpec(const Layer&)>& make_mixer) {
    const DenseSpec dense = read_dense(config, defaults.dense_width);
    const MixtureSpec experts = read_ling_experts(config, defaults);
    const std::vector<bool> sparse =
        find_sparse_layers(config, blueprint.layers.size(), defaults.dense_layers);
    const auto plan_layer = [&](const Layer& layer) {
        LayerPlan plan{.mixer = {.name = "attention", .renamed = {{role::output, "dense"}}}};
        plan.spec.mixer = make_mixer(layer);
        if (std::holds_alternative<LightningSpec>(plan.spec.mixer)) {
            plan.mixer.renamed = {{role::output, "dense"},
                                  {role::query_key_value, "query_key_value"},
                                  {role::query_norm, "query_layernorm.weight"},
                                  {role::key_norm, "key_layernorm.weight"},
                                  {role::output_norm, "g_norm.weight"},
                                  {role::output_gate, "g_proj"}};
        }
        if (sparse[layer.index.value]) {
            plan.spec.feed_forward = experts;
            plan.feed_forward = make_mixture_module("mlp", "gate.expert_bias");
        } else {
            plan.spec.feed_forward = dense;
        }
        return plan;
    };
    plan_body(blueprint, plan_layer, {.embedding = "word_embeddings"});
}

}  // namespace anamnesis::checkpoint
