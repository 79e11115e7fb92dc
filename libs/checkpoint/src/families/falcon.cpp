// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

void plan_falcon_attention(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("new_decoder_architecture", false)) {
        throw Error(ErrorKind::unsupported,
                    "falcon without new_decoder_architecture: the rows of its multi-query form are "
                    "not known here; describe them with --routing FILE, see docs/routing-file.md");
    }
    HeadLayout heads;
    heads.query_heads = config.first_count({"num_attention_heads", "n_head"});
    heads.kv_heads = config.first_count({"num_kv_heads", "n_head_kv"});
    heads.head_dim = config.count(
        "head_dim", heads.query_heads == 0 ? 0 : read_hidden_size(config) / heads.query_heads);
    blueprint.heads = check_heads(heads);
    tie_head_by_default(blueprint);
    add_in_transformer_h(blueprint,
                         {.module = "self_attention.query_key_value",
                          .layout = group_by_kv_head(*blueprint.heads),
                          .columns = read_hidden_size(config),
                          .bias = read_bias(config, false, "bias")});
    if (config.flag("alibi", false)) {
        add_no_rotary(blueprint);
    } else {
        add_rotary(blueprint, config);
    }
}

}  // namespace

namespace families {

Family falcon() {
    return {.name = "falcon",
            .model_types = {"falcon"},
            .evidence = from_memory,
            .read_layers = read_full_layers,
            .plan_attention = plan_falcon_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
