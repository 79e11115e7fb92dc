// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family gemma() {
    return {.name = "gemma",
            .model_types = {"gemma"},
            .evidence = from_memory,
            .read_layers = read_full_layers,
            .plan_attention = plan_gemma_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
