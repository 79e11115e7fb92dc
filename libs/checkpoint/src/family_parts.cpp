// SPDX-License-Identifier: Apache-2.0
#include "family_parts.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "lfm_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// What the config classes of Mistral and Qwen fill in where a config has windows and states none.
constexpr std::uint32_t usual_window = 4096;

}  // namespace

std::vector<Layer> read_full_layers(const ConfigReader& config) {
    return make_uniform_layers(read_layer_count(config), LayerKind::full);
}

std::vector<Layer> read_layers_by_window(const ConfigReader& config) {
    return make_uniform_layers(read_layer_count(config),
                               config.has("sliding_window") ? LayerKind::sliding : LayerKind::full);
}

std::vector<Layer> read_qwen_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const bool is_windowed =
        config.flag("use_sliding_window", false) && !config.is_null("sliding_window");
    const std::uint32_t first_sliding = config.count("max_window_layers", 28);
    return make_layers(read_layer_count(config), [=](std::uint32_t layer) {
        return Kinds{is_windowed && layer >= first_sliding ? LayerKind::sliding : LayerKind::full};
    });
}

std::vector<Layer> read_layers_by_interval(const ConfigReader& config,
                                           std::uint32_t default_count) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t interval = config.count("full_attention_interval", 4);
    return make_layers(read_layer_count(config, default_count), [=](std::uint32_t layer) {
        const bool is_full = interval != 0 && (layer + 1) % interval == 0;
        return Kinds{is_full ? LayerKind::full : LayerKind::linear};
    });
}

std::vector<Layer> read_last_of_groups(const ConfigReader& config,
                                       LayerKind softmax,
                                       bool has_tail) {
    const std::uint32_t count = read_layer_count(config);
    const std::uint32_t group = config.first_count({"layer_group_size"});
    if (group == 0) {
        throw Error(ErrorKind::malformed, "config key 'layer_group_size' is 0");
    }
    return make_layers(count, [=](std::uint32_t layer) {
        const bool is_softmax =
            (layer + 1) % group == 0 || (has_tail && layer >= count / group * group);
        return Kinds{is_softmax ? softmax : LayerKind::linear};
    });
}

std::vector<Layer> read_lfm2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t count = read_layer_count(config);
    const auto full = config.find_counts("full_attn_idxs");
    return make_layers(count, [&](std::uint32_t layer) {
        const bool is_full = !full || std::ranges::find(*full, layer) != full->end();
        return Kinds{is_full ? LayerKind::full : LayerKind::conv};
    });
}

Presence read_bias(const ConfigReader& config, bool fallback, std::string_view key) {
    return config.flag(key, fallback) ? Presence::required : Presence::absent;
}

void plan_separate(Blueprint& blueprint,
                   const ConfigReader& config,
                   Presence bias,
                   const HeadDefaults& defaults,
                   std::string_view module) {
    blueprint.heads = read_heads(config, defaults);
    add(blueprint,
        SeparateProjections{.module = module,
                            .heads = blueprint.heads,
                            .columns = read_hidden_size(config, defaults.hidden_size),
                            .bias = bias});
}

void plan_llama_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    add_rotary(blueprint, config);
}

void plan_qwen2_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::required);
    add_rotary(blueprint, config);
}

void plan_qwen3_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_normed_attention(blueprint, config, {.head_dim = 128});
}

void plan_normed_attention(Blueprint& blueprint,
                           const ConfigReader& config,
                           const HeadDefaults& defaults) {
    plan_separate(blueprint, config, read_bias(config), defaults);
    add(blueprint, QkNorms{});
    add_rotary(blueprint, config);
}

void plan_gated_attention(Blueprint& blueprint,
                          const ConfigReader& config,
                          const HeadDefaults& defaults) {
    blueprint.heads = read_heads(config, defaults);
    add(blueprint,
        SeparateProjections{.heads = blueprint.heads,
                            .columns = read_hidden_size(config, defaults.hidden_size),
                            .query_rows = QueryRows::with_gates,
                            .bias = read_bias(config)});
    add(blueprint, QkNorms{.kind = QkNorm::per_head_plus1});
    add_rotary(blueprint, config, {.partial_factor = 0.25, .theta = 10'000.0});
    blueprint.softmax.mixer_only = {in_layer("linear_attn.A_log"),
                                    in_layer("linear_attn.conv1d.weight")};
}

void plan_gemma_heads(Blueprint& blueprint,
                      const ConfigReader& config,
                      const HeadDefaults& defaults) {
    plan_separate(blueprint, config, read_bias(config), defaults);
    tie_head_by_default(blueprint);
    if (const auto scalar = config.find_number("query_pre_attn_scalar"); scalar && *scalar > 0) {
        blueprint.position.attention_scale = 1.0 / std::sqrt(*scalar);
    }
}

void plan_gemma_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_gemma_heads(blueprint, config, {.head_dim = 256});
    add_rotary(blueprint, config);
}

void refuse_encoder(const ConfigReader& config) {
    if (config.flag("use_bidirectional_attention", false)) {
        throw Error(ErrorKind::unsupported,
                    "use_bidirectional_attention is set: an encoder writes no text");
    }
}

void plan_sandwich_body(Blueprint& blueprint,
                        const ConfigReader& config,
                        const SoftmaxKinds& kinds) {
    DenseSpec dense = read_dense(config, 9216);
    dense.activation = read_activation(config, "hidden_activation", Activation::gelu_tanh);
    const ResidualSpec sandwich{.norms = NormPlacement::both};
    plan_softmax_body(blueprint,
                      kinds,
                      {.spec = {.feed_forward = dense,
                                .mixer_residual = sandwich,
                                .feed_forward_residual = sandwich},
                       .feed_forward_norm = {"pre_feedforward_layernorm"}});
}

void plan_lfm2_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::absent);
    add(blueprint, QkNorms{.query = "q_layernorm", .key = "k_layernorm"});
    add_rotary(blueprint, config, {.theta = 1e6});
    read_lfm_head(blueprint, config);
    blueprint.softmax.mixer_only = {in_layer("conv.conv.weight"), in_layer("conv.in_proj.weight")};
}

LatentAttention read_deepseek_attention(const ConfigReader& config) {
    LatentAttention attention = read_latent_attention(config, "self_attn");
    if (!attention.query_rank && !config.is_null("q_lora_rank")) {
        attention.query_rank = 1536;
    }
    return attention;
}

void plan_deepseek_attention(Blueprint& blueprint, const ConfigReader& config) {
    const LatentAttention attention = read_deepseek_attention(config);
    add(blueprint, attention);
    add_latent_rotary(blueprint,
                      config,
                      attention.rope_dim,
                      config.flag("rope_interleave", true) ? RotaryLayout::Pairs::interleaved
                                                           : RotaryLayout::Pairs::half_split);
}

void plan_bailing_latent_attention(Blueprint& blueprint, const ConfigReader& config) {
    const LatentAttention attention = read_latent_attention(config, "attention");
    add(blueprint, attention);
    add_latent_rotary(blueprint, config, attention.rope_dim, RotaryLayout::Pairs::interleaved);
    blueprint.softmax.mixers_share_names = true;
    blueprint.softmax.softmax_only = {in_layer("attention.kv_b_proj.weight"),
                                      in_layer("attention.kv_a_proj_with_mqa.weight")};
    blueprint.softmax.mixer_only = {in_layer("attention.k_proj.weight"),
                                    in_layer("attention.A_log"),
                                    in_layer("attention.query_key_value.weight"),
                                    in_layer("attention.g_norm.weight")};
}

void add_in_transformer_h(Blueprint& blueprint, const FusedProjection& projection) {
    blueprint.prefix = "transformer.";
    blueprint.layer_list = "h";
    add(blueprint, projection);
    for (TensorRule& rule : blueprint.softmax.tensors) {
        rule.name.replace(0, std::string_view("layers.").size(), "h.");
    }
}

void use_layer_norm(Blueprint& blueprint, const ConfigReader& config, std::string_view key) {
    blueprint.norm_kind = NormKind::layer;
    blueprint.norm_eps = config.find_number(key).value_or(1e-5);
}

DenseSpec make_plain_dense(std::uint32_t width, Activation activation) {
    return {.width = width, .activation = activation, .is_gated = false, .has_biases = true};
}

void tie_head_by_default(Blueprint& blueprint) {
    blueprint.is_head_tied = blueprint.is_head_tied.value_or(true);
}

SoftmaxKinds make_softmax_kinds(const Blueprint& blueprint,
                                const ConfigReader& config,
                                std::optional<std::uint32_t> default_window) {
    SoftmaxKinds kinds{.full = make_attention(blueprint), .sliding = make_attention(blueprint)};
    const bool slides = std::ranges::any_of(
        blueprint.layers, [](const Layer& layer) { return is_only(layer, LayerKind::sliding); });
    if (slides) {
        const std::optional<std::uint32_t> stated = read_window(config);
        kinds.sliding.window = stated ? stated : default_window;
    }
    return kinds;
}

void set_default_theta(SoftmaxKinds& kinds, const Blueprint& blueprint, double theta) {
    for (AttentionSpec* attention : {&kinds.full, &kinds.sliding}) {
        if (attention->rotary && !blueprint.position.rope_theta) {
            attention->rotary->theta = theta;
        }
    }
}

const AttentionSpec& choose_attention(const SoftmaxKinds& kinds, const Layer& layer) {
    if (!is_only(layer, LayerKind::sliding)) {
        return kinds.full;
    }
    if (!kinds.sliding.window) {
        throw Error(ErrorKind::malformed,
                    format("layer {} is sliding, and config.json has no sliding_window",
                           layer.index.value));
    }
    return kinds.sliding;
}

void plan_softmax_body(Blueprint& blueprint,
                       const SoftmaxKinds& kinds,
                       const LayerPlan& like,
                       const BodyNames& names) {
    plan_body(
        blueprint,
        [&](const Layer& layer) {
            LayerPlan plan = like;
            plan.spec.mixer = choose_attention(kinds, layer);
            return plan;
        },
        names);
}

void plan_softmax_layers(Blueprint& blueprint, const ConfigReader& config) {
    plan_softmax_body(blueprint,
                      make_softmax_kinds(blueprint, config, usual_window),
                      {.spec = {.feed_forward = read_dense(config, 0)}});
}

void plan_qwen_mixtures(Blueprint& blueprint,
                        const ConfigReader& config,
                        const QwenMixtureDefaults& defaults) {
    const SoftmaxKinds kinds = make_softmax_kinds(blueprint, config, usual_window);
    plan_body(blueprint, [&](const Layer& layer) {
        return LayerPlan{
            .spec = {.mixer = choose_attention(kinds, layer),
                     .feed_forward = read_qwen_feed_forward(config, layer.index.value, defaults)}};
    });
}

std::vector<std::string_view> llama_parts() {
    return {"input_layernorm.",
            "post_attention_layernorm.",
            "mlp.",
            "self_attn.q_proj.weight",
            "self_attn.k_proj.weight",
            "self_attn.v_proj.weight",
            "self_attn.o_proj.weight"};
}

std::vector<std::string_view> qwen3_parts() {
    std::vector<std::string_view> parts = llama_parts();
    parts.insert(parts.end(), {"self_attn.q_norm.weight", "self_attn.k_norm.weight"});
    return parts;
}

}  // namespace anamnesis::checkpoint
