// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
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

/// Attention and state space side by side in every layer.
std::vector<Layer> read_falcon_h1_layers(const ConfigReader& config) {
    return make_layers(read_layer_count(config),
                       [](std::uint32_t) { return Kinds{LayerKind::full, LayerKind::linear}; });
}

void plan_falcon_h1_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config));
    // Both multipliers reach the scores: one through the keys, one through queries and keys.
    const double input = config.find_number("attention_in_multiplier").value_or(1.0);
    const double key = config.find_number("key_multiplier").value_or(1.0);
    blueprint.position.attention_scale =
        input * input * key / std::sqrt(static_cast<double>(blueprint.heads->head_dim));
    add_rotary(blueprint, config);
}

double read_factor(const ConfigReader& config, std::string_view key) {
    return config.find_number(key).value_or(1.0);
}

/// A list of factors, all 1 where there is none.
template <std::size_t Count>
std::array<double, Count> read_factors(const ConfigReader& config, std::string_view key) {
    std::array<double, Count> factors{};
    factors.fill(1.0);
    if (const Json* list = config.find(key)) {
        const auto& values = list->as_array(key);
        if (values.size() != Count) {
            throw Error(ErrorKind::malformed,
                        format("config key {} has {} elements, expected {}",
                               in_quotes(key),
                               values.size(),
                               Count));
        }
        std::ranges::transform(
            values, factors.begin(), [&](const Json& value) { return number_from(value, key); });
    }
    return factors;
}

Mamba2Spec read_falcon_mamba(const ConfigReader& config, const Blueprint& blueprint) {
    Mamba2Spec spec = read_mamba2(config, blueprint, config.count("mamba_d_ssm", 0));
    spec.has_output_bias = config.flag("projectors_bias", false);
    spec.section_scales = read_factors<5>(config, "ssm_multipliers");
    if (!config.flag("mamba_rms_norm", false)) {
        spec.norm = GatedNorm::none;
    } else if (config.flag("mamba_norm_before_gate", true)) {
        spec.norm = GatedNorm::norm_first;
    }
    return spec;
}

void plan_falcon_h1_layers(Blueprint& blueprint, const ConfigReader& config) {
    expect_silu_in_mixers(config);
    blueprint.norm_eps = config.find_number("rms_norm_eps").value_or(1e-5);
    blueprint.embedding_scale = read_factor(config, "embedding_multiplier");
    blueprint.logit_scale = read_factor(config, "lm_head_multiplier");
    ParallelSpec mixer{.mamba = read_falcon_mamba(config, blueprint),
                       .attention = make_attention(blueprint),
                       .mamba_input_scale = read_factor(config, "ssm_in_multiplier"),
                       .mamba_output_scale = read_factor(config, "ssm_out_multiplier"),
                       .attention_input_scale = read_factor(config, "attention_in_multiplier"),
                       .attention_output_scale = read_factor(config, "attention_out_multiplier")};
    // What the blueprint says of scores holds both; here each is where it acts.
    mixer.attention.logit_scale.reset();
    mixer.attention.key_scale = read_factor(config, "key_multiplier");
    DenseSpec dense = read_dense(config, 14'336);
    const auto factors = read_factors<2>(config, "mlp_multipliers");
    dense.gate_scale = factors[0];
    dense.output_scale = factors[1];
    plan_body(blueprint,
              [&](const Layer& layer) {
                  if (layer.kinds != Kinds{LayerKind::full, LayerKind::linear}) {
                      refuse_layer(blueprint, layer);
                  }
                  return LayerPlan{.spec = {.mixer = mixer, .feed_forward = dense},
                                   .feed_forward = {.name = "feed_forward"},
                                   .feed_forward_norm = {"pre_ff_layernorm"}};
              },
              {.final_norm = "final_layernorm"});
}

}  // namespace

namespace families {

Family falcon_h1() {
    return {.name = "falcon_h1",
            .model_types = {"falcon_h1"},
            .evidence = verified,
            .read_layers = read_falcon_h1_layers,
            .plan_attention = plan_falcon_h1_attention,
            .plan_layers = plan_falcon_h1_layers,
            .defaults = {.context_length = 8192}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
