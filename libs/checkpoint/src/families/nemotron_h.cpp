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

/// Every block has one mixer, so the pattern counts feed-forward blocks as layers too.
std::vector<Layer> read_nemotron_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layers_block_type", "layer_types"})) {
        return *std::move(listed);
    }
    const auto pattern = config.find_word("hybrid_override_pattern");
    if (!pattern) {
        throw Error(ErrorKind::malformed,
                    "config.json has neither 'layers_block_type' nor 'hybrid_override_pattern'");
    }
    const std::uint32_t count =
        read_layer_count(config, static_cast<std::uint32_t>(pattern->size()));
    if (count != pattern->size()) {
        throw Error(ErrorKind::malformed,
                    format("config key 'hybrid_override_pattern' describes {} layers, "
                           "num_hidden_layers is {}",
                           pattern->size(),
                           count));
    }
    return make_layers(count, [&](std::uint32_t layer) {
        switch ((*pattern)[layer]) {
            case '*':
                return Kinds{LayerKind::full};
            case 'M':
                return Kinds{LayerKind::linear};
            case '-':
            case 'E':
                return Kinds{LayerKind::mlp};
            default:
                throw Error(ErrorKind::malformed,
                            format("config key 'hybrid_override_pattern' holds {}, expected M, *, "
                                   "- and E",
                                   in_quotes(*pattern)));
        }
    });
}

void plan_nemotron_attention(Blueprint& blueprint, const ConfigReader& config) {
    plan_separate(blueprint, config, read_bias(config), {.head_dim = 128}, "mixer");
    add_no_rotary(blueprint);
    blueprint.softmax.mixer_only = {in_layer("mixer.A_log"), in_layer("mixer.in_proj.weight")};
}

}  // namespace

namespace families {

Family nemotron_h() {
    return {.name = "nemotron_h",
            .model_types = {"nemotron_h"},
            .evidence = verified,
            .read_layers = read_nemotron_layers,
            .plan_attention = plan_nemotron_attention};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
