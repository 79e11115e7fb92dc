// SPDX-License-Identifier: Apache-2.0
#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"

namespace anamnesis::checkpoint {

namespace families {

Family llama() {
    return {.name = "llama",
            .model_types = {"llama"},
            .evidence = verified,
            .read_layers = read_full_layers,
            .plan_attention = plan_llama_attention,
            .plan_layers = plan_softmax_layers,
            .nameless = NamelessForm{.has_gains = false,
                                     .signs = {"self_attn.q_proj.weight"},
                                     .only_parts = llama_parts()},
            .defaults = {.context_length = 2048}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
