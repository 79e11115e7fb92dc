// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"

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

}  // namespace

namespace families {

Family bailing_moe_linear() {
    return {.name = "bailing_moe_linear",
            .model_types = {"bailing_moe_linear"},
            .evidence = from_source,
            .read_layers = read_bailing_linear_layers,
            .plan_attention = plan_bailing_linear_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
