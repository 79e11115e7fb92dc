// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family lfm2_moe() {
    return {.name = "lfm2_moe",
            .model_types = {"lfm2_moe"},
            .evidence = from_memory,
            .read_layers = read_lfm2_layers,
            .plan_attention = plan_lfm2_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
