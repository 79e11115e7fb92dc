// SPDX-License-Identifier: Apache-2.0
#include <array>
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

Presence bias_by_flag(const ConfigReader& config, bool fallback) {
    return config.flag("attention_bias", fallback) ? Presence::required : Presence::absent;
}

std::vector<Layer> all_full(const ConfigReader& config) {
    return layers_all(layer_count(config), LayerKind::full);
}

/// A window in the config makes every layer sliding.
std::vector<Layer> all_sliding_if_windowed(const ConfigReader& config) {
    return layers_all(layer_count(config),
                      config.has("sliding_window") ? LayerKind::sliding : LayerKind::full);
}

/// As above, and a config without the key has the library's window of 4096.
std::vector<Layer> mistral_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return layers_all(layer_count(config),
                      config.is_null("sliding_window") ? LayerKind::full : LayerKind::sliding);
}

std::vector<Layer> qwen_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const bool is_windowed =
        config.flag("use_sliding_window", false) && !config.is_null("sliding_window");
    const std::uint32_t first_sliding = config.count("max_window_layers", 28);
    return layers_by(layer_count(config), [=](std::uint32_t layer) {
        return Kinds{is_windowed && layer >= first_sliding ? LayerKind::sliding : LayerKind::full};
    });
}

std::vector<Layer> gpt_oss_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    return layers_by(layer_count(config), [](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? LayerKind::sliding : LayerKind::full};
    });
}

void describe_separate(Blueprint& blueprint,
                       const ConfigReader& config,
                       const HeadDefaults& defaults,
                       Presence bias) {
    blueprint.heads = heads_from(config, defaults);
    add(blueprint,
        SeparateProjections{
            .heads = blueprint.heads, .columns = hidden_size_of(config), .bias = bias});
}

void describe_llama(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, {}, bias_by_flag(config, false));
    add_rotary(blueprint, config);
}

void describe_qwen2(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, {}, Presence::required);
    add_rotary(blueprint, config);
}

void describe_qwen3(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, {.head_dim = 128}, bias_by_flag(config, false));
    add(blueprint, QkNorms{});
    add_rotary(blueprint, config);
}

void describe_gpt_oss(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, {.head_dim = 64}, bias_by_flag(config, true));
    add_rotary(blueprint, config);
}

void describe_phi(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, {}, Presence::required);
    if (config.flag("qk_layernorm", false)) {
        add(blueprint, QkNorms{.query = "q_layernorm", .key = "k_layernorm"});
    }
    add_rotary(blueprint, config, {.partial_factor = 0.5});
}

}  // namespace

std::span<const Architecture> plain_architectures() {
    static const std::array architectures{
        Architecture{"llama", {"llama"}, verified, all_full, describe_llama},
        Architecture{"mistral", {"mistral"}, verified, mistral_layers, describe_llama},
        Architecture{"mixtral", {"mixtral"}, from_memory, all_sliding_if_windowed, describe_llama},
        Architecture{"qwen2", {"qwen2"}, verified, qwen_layers, describe_qwen2},
        Architecture{"qwen2_moe", {"qwen2_moe"}, from_memory, qwen_layers, describe_qwen2},
        Architecture{"qwen3", {"qwen3"}, verified, qwen_layers, describe_qwen3},
        Architecture{"qwen3_moe", {"qwen3_moe"}, from_memory, qwen_layers, describe_qwen3},
        Architecture{"gpt_oss", {"gpt_oss"}, verified, gpt_oss_layers, describe_gpt_oss},
        Architecture{"phi", {"phi"}, from_memory, all_full, describe_phi},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
