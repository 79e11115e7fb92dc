// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family lfm2() {
    return {.name = "lfm2",
            .model_types = {"lfm2"},
            .evidence = verified,
            .read_layers = read_lfm2_layers,
            .plan_attention = plan_lfm2_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
