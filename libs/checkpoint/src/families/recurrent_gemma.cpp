// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "attention_rules.hpp"
#include "family.hpp"
#include "family_parts.hpp"
#include "layer_kinds.hpp"
#include "layer_plan.hpp"
#include "rotary.hpp"
#include "spec_parts.hpp"

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

void plan_recurrent_gemma_layers(Blueprint& blueprint, const ConfigReader& config) {
    blueprint.gain = Gain::offset;
    // Stored in bfloat16, whatever the weights are in.
    blueprint.embedding_scale =
        f32_from_bf16(bf16_from_f64(std::sqrt(static_cast<double>(blueprint.hidden_size))));
    // The library takes no null for these.
    for (const std::string_view key : {"logits_soft_cap", "attention_window_size"}) {
        if (config.is_null(key)) {
            throw Error(ErrorKind::malformed,
                        format("config key {} is null, expected a number", in_quotes(key)));
        }
    }
    if (!blueprint.position.rope_scaling.is_null()) {
        throw Error(ErrorKind::unsupported,
                    "the rotary encoding is scaled, which no library does in this family");
    }
    blueprint.logit_softcap = read_softcap(config, "logits_soft_cap", 30.0);
    AttentionSpec attention = make_attention(blueprint);
    attention.window =
        read_size(config,
                  config.has("attention_window_size") ? "attention_window_size" : "sliding_window",
                  2048);
    const Activation activation =
        read_activation(config, "hidden_activation", Activation::gelu_tanh);
    const RgLruSpec recurrence{
        .channels = config.is_null("lru_width")
                        ? blueprint.hidden_size
                        : read_size(config, "lru_width", blueprint.hidden_size),
        .heads = attention.heads.query_heads,
        .conv_width = read_size(config, "conv1d_width", 4),
        .activation = activation};
    if (recurrence.channels % recurrence.heads != 0) {
        throw Error(ErrorKind::malformed,
                    format("config key 'lru_width' is {}, expected a multiple of the {} heads",
                           recurrence.channels,
                           recurrence.heads));
    }
    // The config states the width of gate and up together.
    const DenseSpec dense{
        .width = check_size(read_size(config, "intermediate_size", 7680) / 2, "intermediate_size"),
        .activation = activation,
        .has_biases = true};
    plan_body(blueprint,
              [&](const Layer& layer) {
                  LayerPlan plan{.spec = {.mixer = recurrence, .feed_forward = dense},
                                 .mixer = {.name = "temporal_block"},
                                 .feed_forward = {.name = "mlp_block"},
                                 .mixer_norm = {"temporal_pre_norm"},
                                 .feed_forward_norm = {"channel_pre_norm"}};
                  if (is_only(layer, LayerKind::sliding)) {
                      plan.spec.mixer = attention;
                  }
                  return plan;
              },
              {.final_norm = "final_norm"});
}

}  // namespace

namespace families {

Family recurrent_gemma() {
    return {.name = "recurrent_gemma",
            .model_types = {"recurrent_gemma"},
            .evidence = verified,
            .read_layers = read_recurrent_gemma_layers,
            .plan_attention = plan_recurrent_gemma_attention,
            .plan_layers = plan_recurrent_gemma_layers};
}

}  // namespace families
}  // namespace anamnesis::checkpoint
