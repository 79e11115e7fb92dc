// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family qwen2_moe() {
    return {.name = "qwen2_moe",
            .model_types = {"qwen2_moe"},
            .evidence = from_memory,
            .read_layers = read_qwen_layers,
            .plan_attention = plan_qwen2_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
