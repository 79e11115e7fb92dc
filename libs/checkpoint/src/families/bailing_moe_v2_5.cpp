// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "bailing_parts.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "latent_parts.hpp"
#include "layer_plan.hpp"
#include "spec_parts.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_bailing_v2_5_layers(const ConfigReader& config) {
    return read_last_of_groups(config, LayerKind::mla, true);
}

/// Rows of a lightning head that turn, of `head_dim`.
std::uint32_t read_turned_rows(const ConfigReader& config, std::uint32_t head_dim) {
    if (const auto rows = config.find_count("rotary_dim")) {
        return *rows;
    }
    double share = config.find_number("partial_rotary_factor").value_or(0.5);
    const Json* parameters = config.find("rope_parameters");
    const Json* stated =
        parameters == nullptr ? nullptr : parameters->find("partial_rotary_factor");
    if (stated != nullptr) {
        share = number_from(*stated, "partial_rotary_factor");
    }
    if (!(share >= 0.0) || share > 1.0) {
        throw Error(
            ErrorKind::malformed,
            format("config.json rotates {} of every head, expected a share from 0 to 1", share));
    }
    return static_cast<std::uint32_t>(head_dim * share);
}

void plan_bailing_v2_5_layers(Blueprint& blueprint, const ConfigReader& config) {
    refuse_other_ling_2(config);
    // The base that the library fills in.
    blueprint.position.rope_theta = blueprint.position.rope_theta.value_or(6e5);
    const LatentAttentionSpec latent =
        make_latent_attention(blueprint, read_latent_attention(config, "attention"));
    const HeadLayout heads{.query_heads = latent.heads,
                           .kv_heads = latent.heads,
                           .head_dim = read_size(config, "head_dim", 128)};
    const LingDefaults defaults{.experts = {.experts = 256, .experts_per_token = 8, .width = 512},
                                .groups = 8,
                                .kept_groups = 4,
                                .dense_width = 5120,
                                .dense_layers = 1};
    plan_ling_body(blueprint, config, defaults, [&](const Layer& layer) {
        if (is_only(layer, LayerKind::mla)) {
            return MixerSpec(latent);
        }
        LightningSpec lightning = make_ling_lightning(
            config, blueprint, heads, layer.index, {.has_qk_norm = true, .norm_groups = 4});
        // Of heads of another width than those of softmax; halves are paired.
        lightning.rotary->dimensions = read_turned_rows(config, heads.head_dim);
        return MixerSpec(lightning);
    });
}

}  // namespace

namespace families {

Family bailing_moe_v2_5() {
    return {.name = "bailing_moe_v2_5",
            .model_types = {"bailing_moe_v2_5"},
            .evidence = from_source,
            .read_layers = read_bailing_v2_5_layers,
            .plan_attention = plan_bailing_latent_attention,
            .plan_layers = plan_bailing_v2_5_layers,
            .classes = {"BailingMoeV2_5ForCausalLM"}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
