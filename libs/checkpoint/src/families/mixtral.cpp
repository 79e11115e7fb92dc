// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family mixtral() {
    return {.name = "mixtral",
            .model_types = {"mixtral"},
            .evidence = from_memory,
            .read_layers = read_layers_by_window,
            .plan_attention = plan_llama_attention,
            .nameless = NamelessForm{.has_gains = false}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
