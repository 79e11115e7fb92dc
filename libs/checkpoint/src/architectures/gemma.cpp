// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> gemma_layers(const ConfigReader& config) {
    return layers_all(layer_count(config), LayerKind::full);
}

std::vector<Layer> gemma2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return layers_by(layer_count(config), [](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? LayerKind::sliding : LayerKind::full};
    });
}

std::vector<Layer> gemma3_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t period =
        config.count("sliding_window_pattern", config.count("_sliding_window_pattern", 6));
    return layers_by(layer_count(config, 26), [=](std::uint32_t layer) {
        const bool is_full = period != 0 && (layer + 1) % period == 0;
        return Kinds{is_full ? LayerKind::full : LayerKind::sliding};
    });
}

void describe(Blueprint& blueprint, const ConfigReader& config, const HeadDefaults& defaults) {
    blueprint.heads = heads_from(config, defaults);
    blueprint.is_tied_by_default = true;
    add(blueprint,
        SeparateProjections{
            .heads = blueprint.heads,
            .columns = hidden_size_of(config, defaults.hidden_size),
            .bias = config.flag("attention_bias", false) ? Presence::required : Presence::absent});
    if (const auto scalar = config.find_number("query_pre_attn_scalar"); scalar && *scalar > 0) {
        blueprint.position.attention_scale = 1.0 / std::sqrt(*scalar);
    }
}

void describe_gemma(Blueprint& blueprint, const ConfigReader& config) {
    describe(blueprint, config, {.head_dim = 256});
    add_rotary(blueprint, config);
}

// Wrapped configs of Gemma 3 leave out what the library fills in: here the values of the 4B text
// model would be a guess, so only the documented defaults of the class stand.
void describe_gemma3(Blueprint& blueprint, const ConfigReader& config) {
    describe(
        blueprint, config, {.query_heads = 8, .kv_heads = 4, .head_dim = 256, .hidden_size = 2304});
    add(blueprint, QkNorms{.kind = QkNorm::per_head_plus1});
    add_rotary(blueprint, config, {.theta = 1e6});
}

}  // namespace

std::span<const Architecture> gemma_architectures() {
    static const std::array architectures{
        Architecture{"gemma", {"gemma"}, from_memory, gemma_layers, describe_gemma},
        Architecture{"gemma2", {"gemma2"}, from_memory, gemma2_layers, describe_gemma},
        Architecture{"gemma3", {"gemma3_text", "gemma3"}, verified, gemma3_layers, describe_gemma3},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
