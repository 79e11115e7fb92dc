// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
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

std::vector<Layer> read_recurrent_gemma_layers(const ConfigReader& config) {
    const auto pattern =
        config.find_words("block_types")
            .value_or(std::vector<std::string>{"recurrent", "recurrent", "attention"});
    if (pattern.empty()) {
        throw Error(ErrorKind::malformed, "config key 'block_types' is empty");
    }
    return make_layers(read_layer_count(config), [&](std::uint32_t layer) {
        const std::string& word = pattern[layer % pattern.size()];
        if (word != "attention" && word != "recurrent") {
            throw Error(ErrorKind::malformed,
                        format("config key 'block_types' names a kind of layer that is not known: "
                               "{}",
                               in_quotes(word)));
        }
        return Kinds{word == "attention" ? LayerKind::sliding : LayerKind::linear};
    });
}

void plan_recurrent_gemma_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config), {}, "temporal_block");
    add_rotary(blueprint, config, {.partial_factor = 0.5});
    tie_head_by_default(blueprint);
    blueprint.softmax.mixer_only = {in_layer("temporal_block.linear_x.weight"),
                                    in_layer("temporal_block.conv_1d.weight")};
}

}  // namespace

namespace families {

Family recurrent_gemma() {
    return {.name = "recurrent_gemma",
            .model_types = {"recurrent_gemma"},
            .evidence = from_source,
            .read_layers = read_recurrent_gemma_layers,
            .plan_attention = plan_recurrent_gemma_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
