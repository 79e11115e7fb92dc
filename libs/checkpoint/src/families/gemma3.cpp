// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> read_gemma3_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t period =
        config.count("sliding_window_pattern", config.count("_sliding_window_pattern", 6));
    return make_layers(read_layer_count(config, 26), [=](std::uint32_t layer) {
        const bool is_full = period != 0 && (layer + 1) % period == 0;
        return Kinds{is_full ? LayerKind::full : LayerKind::sliding};
    });
}

// Wrapped configs of Gemma 3 leave out what the library fills in: here the values of the 4B text
// model would be a guess, so only the documented defaults of the class are used.
void plan_gemma3_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_gemma_heads(
        blueprint, config, {.query_heads = 8, .kv_heads = 4, .head_dim = 256, .hidden_size = 2304});
    add(blueprint, QkNorms{.kind = QkNorm::per_head_plus1});
    add_rotary(blueprint, config, {.theta = 1e6});
}

}  // namespace

namespace families {

Family gemma3() {
    return {.name = "gemma3",
            .model_types = {"gemma3_text", "gemma3"},
            .evidence = verified,
            .read_layers = read_gemma3_layers,
            .plan_attention = plan_gemma3_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
