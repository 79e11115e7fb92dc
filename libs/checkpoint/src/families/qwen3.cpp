// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family qwen3() {
    return {.name = "qwen3",
            .model_types = {"qwen3"},
            .evidence = verified,
            .read_layers = read_qwen_layers,
            .plan_attention = plan_qwen3_attention,
            .plan_layers = plan_softmax_layers,
            .nameless = NamelessForm{.signs = {"self_attn.q_norm.weight"},
                                     .counter_signs = {"mlp.gate.weight"},
                                     .only_parts = qwen3_parts()}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
