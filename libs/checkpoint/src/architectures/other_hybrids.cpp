// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "architecture.hpp"
#include "blueprint.hpp"
#include "layer_kinds.hpp"
#include "rotary.hpp"

namespace anamnesis::checkpoint {
namespace {

std::vector<Layer> lfm2_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t count = layer_count(config);
    const auto full = config.find_counts("full_attn_idxs");
    return layers_by(count, [&](std::uint32_t layer) {
        const bool is_full = !full || std::ranges::find(*full, layer) != full->end();
        return Kinds{is_full ? LayerKind::full : LayerKind::conv};
    });
}

std::vector<Layer> olmo_layers(const ConfigReader& config) {
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return *std::move(listed);
    }
    const std::uint32_t count = layer_count(config);
    return layers_by(count, [=](std::uint32_t layer) {
        // The library makes the last layer full where the rule gives none.
        const bool is_full = layer % 4 == 3 || (count < 4 && layer + 1 == count);
        return Kinds{is_full ? LayerKind::full : LayerKind::linear};
    });
}

std::vector<Layer> minimax_layers(const ConfigReader& config) {
    const LayerKind softmax = config.has("sliding_window") ? LayerKind::sliding : LayerKind::full;
    if (auto listed = find_listed_layers(config, {"layer_types"})) {
        return with_full_as(*std::move(listed), softmax);
    }
    const std::uint32_t count = layer_count(config);
    if (const auto types = config.find_counts("attn_type_list")) {
        if (types->size() != count) {
            throw Error(ErrorKind::malformed,
                        format("config key 'attn_type_list' lists {} layers, num_hidden_layers "
                               "is {}",
                               types->size(),
                               count));
        }
        return layers_by(count, [&](std::uint32_t layer) {
            return Kinds{(*types)[layer] == 1 ? softmax : LayerKind::linear};
        });
    }
    if (config.find_word("model_type") != "minimax") {
        throw Error(ErrorKind::malformed,
                    "config.json has neither 'attn_type_list' nor 'layer_types'");
    }
    return layers_by(count, [=](std::uint32_t layer) {
        return Kinds{layer % 2 == 0 ? softmax : LayerKind::linear};
    });
}

std::vector<Layer> recurrent_gemma_layers(const ConfigReader& config) {
    const auto pattern =
        config.find_words("block_types")
            .value_or(std::vector<std::string>{"recurrent", "recurrent", "attention"});
    if (pattern.empty()) {
        throw Error(ErrorKind::malformed, "config key 'block_types' is empty");
    }
    return layers_by(layer_count(config), [&](std::uint32_t layer) {
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

void describe_separate(Blueprint& blueprint,
                       const ConfigReader& config,
                       std::string_view module,
                       Presence bias) {
    blueprint.heads = heads_from(config);
    add(blueprint,
        SeparateProjections{.module = module,
                            .heads = blueprint.heads,
                            .columns = hidden_size_of(config),
                            .bias = bias});
}

Presence bias_by_flag(const ConfigReader& config) {
    return config.flag("attention_bias", false) ? Presence::required : Presence::absent;
}

void describe_lfm2(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn", Presence::absent);
    add(blueprint, QkNorms{.query = "q_layernorm", .key = "k_layernorm"});
    add_rotary(blueprint, config, {.theta = 1e6});
    blueprint.is_tied_by_default = true;
    blueprint.mixer_only = {in_layer("conv.conv.weight"), in_layer("conv.in_proj.weight")};
}

/// Null theta in the object means no rotary encoding; no object means the library's default.
void describe_olmo(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn", bias_by_flag(config));
    add(blueprint, QkNorms{.kind = QkNorm::full_width});
    const Json* parameters = config.find("rope_parameters");
    const Json* theta = parameters == nullptr ? nullptr : parameters->find("rope_theta");
    if (theta != nullptr && theta->is_null()) {
        add_no_rotary(blueprint);
    } else {
        add_rotary(blueprint, config, {.theta = 10'000.0});
    }
    blueprint.mixer_only = {in_layer("linear_attn.A_log"), in_layer("linear_attn.q_proj.weight")};
}

void describe_minimax(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "self_attn", Presence::absent);
    add_rotary(blueprint, config);
    // Only the port in transformers ran here; of the original the pattern of layers is recalled.
    if (config.find_word("model_type") != "minimax") {
        blueprint.evidence = from_memory;
    }
    blueprint.mixer_only = {in_layer("self_attn.qkv_proj.weight"),
                            in_layer("self_attn.output_gate.weight")};
}

void describe_recurrent_gemma(Blueprint& blueprint, const ConfigReader& config) {
    describe_separate(blueprint, config, "temporal_block", bias_by_flag(config));
    add_rotary(blueprint, config, {.partial_factor = 0.5});
    blueprint.is_tied_by_default = true;
    blueprint.mixer_only = {in_layer("temporal_block.linear_x.weight"),
                            in_layer("temporal_block.conv_1d.weight")};
}

}  // namespace

std::span<const Architecture> other_hybrid_architectures() {
    static const std::array architectures{
        Architecture{"lfm2", {"lfm2"}, verified, lfm2_layers, describe_lfm2},
        Architecture{"lfm2_moe", {"lfm2_moe"}, from_memory, lfm2_layers, describe_lfm2},
        Architecture{"olmo_hybrid", {"olmo_hybrid"}, verified, olmo_layers, describe_olmo},
        Architecture{"minimax",
                     {"minimax", "minimax_text_01"},
                     verified,
                     minimax_layers,
                     describe_minimax,
                     {"MiniMaxText01ForCausalLM"}},
        Architecture{"recurrent_gemma",
                     {"recurrent_gemma"},
                     from_source,
                     recurrent_gemma_layers,
                     describe_recurrent_gemma},
    };
    return architectures;
}

}  // namespace anamnesis::checkpoint
