// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

/// What a layer computes and where its tensors are.
struct LayerPlan {
    LayerSpec spec{};
    Module mixer{.name = "self_attn"};
    Module feed_forward{.name = "mlp"};
    /// Within the layer, without ".weight"; the first is what is written, the others are read too.
    /// In a parallel layer an empty list is for one norm before both.
    std::vector<std::string_view> mixer_norm{"input_layernorm"};
    std::vector<std::string_view> feed_forward_norm{"post_attention_layernorm"};
    /// After them, where there are norms before and after.
    std::vector<std::string_view> mixer_post_norm{"post_attention_layernorm"};
    std::vector<std::string_view> feed_forward_post_norm{"post_feedforward_layernorm"};
};

/// Names outside the layers, without ".weight".
struct BodyNames {
    std::string_view embedding = "embed_tokens";
    std::string_view final_norm = "norm";
    std::string_view head = "lm_head";  ///< outside the body
    bool has_head_bias = false;
    std::string_view positions{};  ///< of a table of learned positions; empty: none
    std::uint32_t position_count = 0;
    std::string_view embedding_norm{};  ///< of what goes into the layers; empty: none
};

/// Lists embedding, layers, final norm and head, in this order, and sets the specs of the layers.
/// Errors: `malformed` where the config states no hidden_size; `unsupported` for a softmax layer
/// whose mixer is another, or the other way round.
/// A layer without a mixer or a feed-forward has no norm for it.
void plan_body(Blueprint& blueprint,
               const std::function<LayerPlan(const Layer&)>& plan_layer,
               const BodyNames& names = {});

/// The error for a layer whose kind the family has no mixer for.
[[noreturn]] void refuse_layer(const Blueprint& blueprint, const Layer& layer);

/// True for a layer of this kind and no other.
bool is_only(const Layer& layer, LayerKind kind);

}  // namespace anamnesis::checkpoint
