// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "attention_rules.hpp"
#include "bailing_parts.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "latent_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_bailing_hybrid_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), LayerKind::mla);
    }
    return read_last_of_groups(config, LayerKind::mla, false);
}

/// Heads of KDA are as many as those of softmax. transformers 5 writes the rotary width under
/// `head_dim`, and theirs under `linear_head_dim`.
KimiDeltaSpec read_delta(const ConfigReader& config, double norm_eps) {
    const std::uint32_t head_dim = config.has("linear_head_dim")
                                       ? read_size(config, "linear_head_dim", 128)
                                       : read_size(config, "head_dim", 128);
    const std::uint32_t conv_width = config.has("short_conv_kernel_size")
                                         ? read_size(config, "short_conv_kernel_size", 4)
                                         : read_size(config, "linear_conv_kernel_dim", 4);
    KimiDeltaSpec spec{.heads = config.has("linear_num_heads")
                                    ? read_size(config, "linear_num_heads", 32)
                                    : read_size(config, "num_attention_heads", 32),
                       .head_dim = head_dim,
                       .conv_width = conv_width,
                       .norm_eps = norm_eps};
    if (!config.flag("no_kda_lora", true)) {
        spec.gate_rank = head_dim;
    }
    if (config.flag("kda_safe_gate", true)) {
        spec.lower_bound = config.find_number("kda_lower_bound").value_or(-5.0);
        if (!(*spec.lower_bound < 0.0)) {
            throw Error(ErrorKind::malformed,
                        format("config key 'kda_lower_bound' is {}, expected a number below 0",
                               *spec.lower_bound));
        }
    }
    return spec;
}

/// True where a list of limits limits some layer.
bool limits(const ConfigReader& config, std::string_view key) {
    const Json* list = config.find(key);
    return list != nullptr && std::ranges::any_of(list->as_array(key), [&](const Json& limit) {
               return !limit.is_null() && number_from(limit, key) != 0.0;
           });
}

/// Keys of published configs whose meaning no code here has.
void refuse_other_models(const ConfigReader& config) {
    for (const std::string_view key :
         {"expert_swiglu_limit_list", "share_expert_swiglu_limit_list"}) {
        if (limits(config, key)) {
            throw Error(ErrorKind::unsupported,
                        format("Ling with limits in {} does not run here", in_quotes(key)));
        }
    }
    refuse_other_ling(config);
    expect_word(config, "gated_attention_proj_granularity_type", "head_wise");
    if (config.count("group_norm_size", 1) > 1) {
        throw Error(ErrorKind::unsupported, "Ling with 'group_norm_size' does not run here");
    }
}

void plan_bailing_layers(Blueprint& blueprint, const ConfigReader& config) {
    refuse_other_models(config);
    blueprint.context_length =
        config.count("model_max_length", config.count("max_position_embeddings", 262'144));
    // The base that the library fills in.
    blueprint.position.rope_theta = blueprint.position.rope_theta.value_or(6e6);
    LatentAttentionSpec latent =
        make_latent_attention(blueprint, read_latent_attention(config, "attention"));
    latent.has_head_gate = true;
    const KimiDeltaSpec delta = read_delta(config, blueprint.norm_eps);
    const LingDefaults defaults{.experts = {.experts = 512, .experts_per_token = 8, .width = 768},
                                .groups = 8,
                                .kept_groups = 4,
                                .scale = 2.5,
                                .dense_width = 6144,
                                .dense_layers = 2};
    plan_ling_body(blueprint, config, defaults, [&](const Layer& layer) {
        return is_only(layer, LayerKind::mla) ? MixerSpec(latent) : MixerSpec(delta);
    });
}

}  // namespace

namespace families {

Family bailing_hybrid() {
    return {.name = "bailing_hybrid",
            .model_types = {"bailing_hybrid"},
            .evidence = verified,
            .read_layers = read_bailing_hybrid_layers,
            .plan_attention = plan_bailing_latent_attention,
            .plan_layers = plan_bailing_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
