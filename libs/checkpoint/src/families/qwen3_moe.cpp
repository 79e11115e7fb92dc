// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family qwen3_moe() {
    return {.name = "qwen3_moe",
            .model_types = {"qwen3_moe"},
            .evidence = from_memory,
            .read_layers = read_qwen_layers,
            .plan_attention = plan_qwen3_attention,
            .nameless = NamelessForm{.signs = {"self_attn.q_norm.weight", "mlp.gate.weight"},
                                     .only_parts = qwen3_parts()}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
