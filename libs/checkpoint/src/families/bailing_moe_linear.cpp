// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "bailing_parts.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_bailing_linear_layers(const ConfigReader& config) {
    return read_last_of_groups(config, LayerKind::full, false);
}

/// Ring-linear and Ling-linear 2.0: the linear layers have the same fused tensor with more rows.
void plan_bailing_linear_attention(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.heads = read_heads(config);
    add(blueprint,
        FusedProjection{.module = "attention.query_key_value",
                        .layout = make_query_key_value_blocks(*blueprint.heads),
                        .columns = read_hidden_size(config),
                        .bias = read_bias(config, false, "use_qkv_bias")});
    if (config.flag("use_qk_norm", false)) {
        add(blueprint,
            QkNorms{.module = "attention", .query = "query_layernorm", .key = "key_layernorm"});
    }
    add_rotary(blueprint, config);
    blueprint.softmax.mixers_share_names = true;
    blueprint.softmax.mixer_only = {in_layer("attention.g_proj.weight"),
                                    in_layer("attention.g_norm.weight")};
}

void plan_bailing_linear_layers(Blueprint& blueprint, const ConfigReader& config) {
    refuse_other_ling_2(config);
    // Ring-lite-linear-preview has this model_type too, and a router of its own.
    if (!config.has("score_function")) {
        throw Error(ErrorKind::unsupported,
                    "Ling without 'score_function', the first linear form, does not run here");
    }
    if (blueprint.layers.size() % config.first_count({"layer_group_size"}) != 0) {
        throw Error(ErrorKind::unsupported,
                    format("{} layers are no whole number of groups ('layer_group_size'): which of "
                           "the last have softmax attention is read in two ways, and neither runs "
                           "here",
                           blueprint.layers.size()));
    }
    blueprint.position.rope_theta = blueprint.position.rope_theta.value_or(6e5);
    const AttentionSpec softmax = make_attention(blueprint);
    const LingDefaults defaults{.experts = {.experts = 256, .experts_per_token = 8, .width = 512},
                                .groups = 8,
                                .kept_groups = 4,
                                .dense_width = 5120};
    plan_ling_body(blueprint, config, defaults, [&](const Layer& layer) {
        return layer.is_softmax() ? MixerSpec(softmax)
                                  : MixerSpec(make_ling_lightning(
                                        config, blueprint, *blueprint.heads, layer.index));
    });
}

}  // namespace

namespace families {

Family bailing_moe_linear() {
    return {.name = "bailing_moe_linear",
            .model_types = {"bailing_moe_linear"},
            .evidence = from_source,
            .read_layers = read_bailing_linear_layers,
            .plan_attention = plan_bailing_linear_attention,
            .plan_layers = plan_bailing_linear_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
