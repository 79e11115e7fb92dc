// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
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

std::vector<Layer> read_minimax_layers(const ConfigReader& config) {
    const LayerKind softmax = config.has("sliding_window") ? LayerKind::sliding : LayerKind::full;
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), softmax);
    }
    const std::uint32_t count = read_layer_count(config);
    if (const auto types = config.find_counts("attn_type_list")) {
        if (types->size() != count) {
            throw Error(ErrorKind::malformed,
                        format("config key 'attn_type_list' lists {} layers, num_hidden_layers "
                               "is {}",
                               types->size(),
                               count));
        }
        return make_layers(count, [&](std::uint32_t layer) {
            return Kinds{(*types)[layer] == 1 ? softmax : LayerKind::linear};
        });
    }
    if (config.find_word("model_type") != "minimax") {
        throw Error(ErrorKind::malformed,
                    "config.json has neither 'attn_type_list' nor 'layer_types'");
    }
    return make_layers(count, [=](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? softmax : LayerKind::linear};
    });
}

void plan_minimax_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, Presence::absent);
    add_rotary(blueprint, config);
    // Only the port in transformers ran here; of the original the pattern of layers is recalled.
    if (config.find_word("model_type") != "minimax") {
        blueprint.evidence = from_memory;
    }
    blueprint.softmax.mixer_only = {in_layer("self_attn.qkv_proj.weight"),
                                    in_layer("self_attn.output_gate.weight")};
}

}  // namespace

namespace families {

Family minimax() {
    return {.name = "minimax",
            .model_types = {"minimax", "minimax_text_01"},
            .evidence = verified,
            .read_layers = read_minimax_layers,
            .plan_attention = plan_minimax_attention,
            .classes = {"MiniMaxText01ForCausalLM"}};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
