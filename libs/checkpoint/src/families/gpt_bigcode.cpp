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

void plan_gpt_bigcode_attention(Blueprint& blueprint, const ConfigReader& config) {
    if (!config.flag("multi_query", true)) {
        throw Error(ErrorKind::unsupported,
                    "gpt_bigcode without multi_query: the rows of this form are not known here; "
                    "describe them with --routing FILE, see docs/routing-file.md");
    }
    HeadLayout heads = read_heads(config);
    heads.kv_heads = 1;
    blueprint.heads = heads;
    tie_head_by_default(blueprint);
    add_in_transformer_h(blueprint,
                         {.module = "attn.c_attn",
                          .layout = make_query_key_value_blocks(heads),
                          .columns = read_hidden_size(config),
                          .bias = Presence::required});
    add_no_rotary(blueprint);
}

}  // namespace

namespace families {

Family gpt_bigcode() {
    return {.name = "gpt_bigcode",
            .model_types = {"gpt_bigcode"},
            .evidence = from_memory,
            .read_layers = read_full_layers,
            .plan_attention = plan_gpt_bigcode_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
