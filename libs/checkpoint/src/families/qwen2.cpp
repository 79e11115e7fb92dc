// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family qwen2() {
    return {.name = "qwen2",
            .model_types = {"qwen2"},
            .evidence = verified,
            .read_layers = read_qwen_layers,
            .plan_attention = plan_qwen2_attention,
            .plan_layers = plan_softmax_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
