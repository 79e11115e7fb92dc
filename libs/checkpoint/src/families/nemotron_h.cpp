// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "mamba_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

/// Every block has one mixer, so the pattern counts feed-forward blocks as layers too.
std::vector<Layer> read_nemotron_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layers_block_type", "layer_types"})) {
        return *std::move(listed);
    }
    const auto pattern = config.find_word("hybrid_override_pattern");
    if (!pattern) {
        throw Error(ErrorKind::malformed,
                    "config.json has neither 'layers_block_type' nor 'hybrid_override_pattern'");
    }
    const std::uint32_t count =
        read_layer_count(config, static_cast<std::uint32_t>(pattern->size()));
    if (count != pattern->size()) {
        throw Error(ErrorKind::malformed,
                    format("config key 'hybrid_override_pattern' describes {} layers, "
                           "num_hidden_layers is {}",
                           pattern->size(),
                           count));
    }
    return make_layers(count, [&](std::uint32_t layer) {
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

void plan_nemotron_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config), {.head_dim = 128}, "mixer");
    add_no_rotary(blueprint);
    blueprint.softmax.mixer_only = {in_layer("mixer.A_log"), in_layer("mixer.in_proj.weight")};
}

/// Which feed-forward layers are experts. Both spellings were read as layers before.
std::vector<bool> find_expert_layers(const ConfigReader& config) {
    std::vector<bool> found;
    for (const std::string_view key : {"layers_block_type", "layer_types"}) {
        if (const auto words = config.find_words(key)) {
            for (const std::string& word : *words) {
                found.push_back(word == "moe");
            }
            return found;
        }
    }
    for (const char c : config.find_word("hybrid_override_pattern").value_or("")) {
        found.push_back(c == 'E');
    }
    return found;
}

/// The name of older configs wins where both are there.
std::string_view find_key(const ConfigReader& config,
                          std::string_view older,
                          std::string_view key) {
    return config.has(older) ? older : key;
}

Mamba2Spec read_nemotron_mamba(const ConfigReader& config, const Blueprint& blueprint) {
    const bool has_bias = config.flag("use_bias", false);
    Mamba2Spec spec{
        .heads = read_size(config, "mamba_num_heads", 128),
        .head_dim = read_size(config, "mamba_head_dim", 64),
        .groups = read_size(config, find_key(config, "mamba_n_groups", "n_groups"), 8),
        .state_size = read_size(config, "ssm_state_size", 128),
        .conv_width = read_size(config, find_key(config, "mamba_d_conv", "conv_kernel"), 4),
        .has_conv_bias = config.flag(find_key(config, "mamba_conv_bias", "use_conv_bias"), true),
        .has_input_bias = has_bias,
        .has_output_bias = has_bias,
        .norm_eps = blueprint.norm_eps};
    spec.least_step =
        config.find_number(find_key(config, "mamba_dt_min", "time_step_min")).value_or(0.001);
    check_mamba2(spec, spec.heads * spec.head_dim);
    return spec;
}

MixtureSpec read_nemotron_mixture(const ConfigReader& config, const DenseSpec& dense) {
    const std::uint32_t experts = read_size(
        config, config.has("n_routed_experts") ? "n_routed_experts" : "num_local_experts", 8);
    MixtureSpec spec{.experts = experts,
                     .experts_per_token = read_experts_per_token(config, experts, 2),
                     .expert = dense,
                     .router = read_corrected_router(config, experts),
                     .shared = SharedExpertSpec{.dense = dense},
                     .latent_width = config.count("moe_latent_size", 0)};
    spec.expert.width = read_size(config, "moe_intermediate_size", 7688);
    spec.shared->dense.width = read_size(config, "moe_shared_expert_intermediate_size", 7688);
    return spec;
}

/// Each layer is one block after one norm: a mixer or a feed-forward.
void plan_nemotron_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config, "mamba_hidden_act");
    blueprint.prefix = "backbone.";
    blueprint.norm_eps = config.find_number("layer_norm_epsilon").value_or(1e-5);
    const AttentionSpec attention = make_attention(blueprint);
    const DenseSpec dense{
        .width = read_size(config, "intermediate_size", 21'504),
        .activation = read_activation(config, "mlp_hidden_act", Activation::squared_relu),
        .is_gated = false,
        .has_biases = config.flag("mlp_bias", false)};
    const std::vector<bool> has_experts = find_expert_layers(config);
    plan_body(
        blueprint,
        [&](const Layer& layer) {
            LayerPlan plan{
                .spec = {.mixer = NoMixer(), .feed_forward = NoFeedForward()},
                .mixer = {.name = "mixer"},
                .feed_forward = {.name = "mixer",
                                 .renamed = {{role::shared_up, "shared_experts.up_proj"},
                                             {role::shared_down, "shared_experts.down_proj"}}},
                .mixer_norm = {"norm"},
                .feed_forward_norm = {"norm"}};
            if (is_only(layer, LayerKind::full)) {
                plan.spec.mixer = attention;
            } else if (is_only(layer, LayerKind::linear)) {
                plan.spec.mixer = read_nemotron_mamba(config, blueprint);
            } else if (layer.index.value < has_experts.size() && has_experts[layer.index.value]) {
                plan.spec.feed_forward = read_nemotron_mixture(config, dense);
            } else {
                plan.spec.feed_forward = dense;
            }
            return plan;
        },
        {.embedding = "embeddings", .final_norm = "norm_f"});
}

}  // namespace

namespace families {

Family nemotron_h() {
    return {.name = "nemotron_h",
            .model_types = {"nemotron_h"},
            .evidence = verified,
            .read_layers = read_nemotron_layers,
            .plan_attention = plan_nemotron_attention,
            .plan_layers = plan_nemotron_layers,
            .defaults = {.context_length = 4096}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
