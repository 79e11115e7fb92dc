// SPDX-License-Identifier: Apache-2.0
#include "tensor_groups.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

#include "tensor_names.hpp"

namespace anamnesis::checkpoint {
namespace {

struct NamedGroup {
    std::string_view name;
    TensorGroup group;
};

/// First components of names outside the layers.
constexpr std::array outer_names{
    NamedGroup{"embed_tokens", TensorGroup::embedding},
    NamedGroup{"word_embeddings", TensorGroup::embedding},
    NamedGroup{"embeddings", TensorGroup::embedding},
    NamedGroup{"embed_in", TensorGroup::embedding},
    NamedGroup{"wte", TensorGroup::embedding},
    NamedGroup{"wpe", TensorGroup::embedding},
    NamedGroup{"lm_head", TensorGroup::head},
    NamedGroup{"embed_out", TensorGroup::head},
    NamedGroup{"norm", TensorGroup::norms},
    NamedGroup{"norm_f", TensorGroup::norms},
    NamedGroup{"final_layernorm", TensorGroup::norms},
    NamedGroup{"final_layer_norm", TensorGroup::norms},
    NamedGroup{"embedding_norm", TensorGroup::norms},
    NamedGroup{"final_norm", TensorGroup::norms},
    NamedGroup{"word_embeddings_layernorm", TensorGroup::norms},
    NamedGroup{"ln_f", TensorGroup::norms},
    // GGUF
    NamedGroup{"token_embd", TensorGroup::embedding},
    NamedGroup{"output", TensorGroup::head},
    NamedGroup{"output_norm", TensorGroup::norms},
    NamedGroup{"token_embd_norm", TensorGroup::norms},
};

/// Modules of a layer that are one thing throughout, their own norms included.
constexpr std::array layer_modules{
    NamedGroup{"mlp", TensorGroup::mlp},
    NamedGroup{"mlp_block", TensorGroup::mlp},
    NamedGroup{"feed_forward", TensorGroup::mlp},
    NamedGroup{"block_sparse_moe", TensorGroup::mlp},
    NamedGroup{"shared_mlp", TensorGroup::mlp},
    NamedGroup{"moe", TensorGroup::mlp},
    NamedGroup{"linear_attn", TensorGroup::mixer},
    NamedGroup{"mamba", TensorGroup::mixer},
    NamedGroup{"conv", TensorGroup::mixer},
    NamedGroup{"embed_tokens", TensorGroup::embedding},
    NamedGroup{"shared_head", TensorGroup::head},
};

/// Modules that hold whatever mixes the tokens of a layer.
constexpr std::array<std::string_view, 6> mixing_modules{
    "self_attn", "attention", "self_attention", "attn", "mixer", "temporal_block"};

/// Tables that some libraries save though they follow from the config.
constexpr std::array<std::string_view, 6> buffers{
    "slope_rate", "query_decay", "key_decay", "diagonal_decay", "rotary_emb", "sinks"};

/// Parts of softmax attention that are not rows of queries, keys or values.
constexpr std::array softmax_parts{
    NamedGroup{"o_proj", TensorGroup::o},
    NamedGroup{"out_proj", TensorGroup::o},
    NamedGroup{"dense", TensorGroup::o},
    NamedGroup{"c_proj", TensorGroup::o},
    NamedGroup{"o_gate", TensorGroup::gate},
    NamedGroup{"g_proj", TensorGroup::gate},
    NamedGroup{"gate_proj", TensorGroup::gate},
    NamedGroup{"output_gate", TensorGroup::gate},
};

std::optional<TensorGroup> find_group(std::span<const NamedGroup> table, std::string_view name) {
    const auto found = std::ranges::find(table, name, &NamedGroup::name);
    return found == table.end() ? std::nullopt : std::optional(found->group);
}

bool is_norm_name(std::string_view component) {
    return component.find("norm") != std::string_view::npos || component.starts_with("ln_");
}

std::optional<TensorGroup> find_group_of_role(RowRole role) {
    switch (role) {
        using enum RowRole;
        case query:
            return TensorGroup::q;
        case key:
            return TensorGroup::k;
        case value:
            return TensorGroup::v;
        case gate:
            return TensorGroup::gate;
        case latent:
            return TensorGroup::latent;
    }
    return std::nullopt;
}

/// `parts` are rows with a role each.
template <class Parts>
std::optional<TensorGroup> find_group_of_parts(AttentionGroup group, const Parts& parts) {
    if (group == AttentionGroup::norm) {
        return TensorGroup::norms;
    }
    const RowRole role = parts.front().role;
    const bool is_one_role =
        std::ranges::all_of(parts, [&](const auto& part) { return part.role == role; });
    return is_one_role ? find_group_of_role(role) : std::nullopt;
}

bool is_buffer_name(std::string_view part) {
    return std::ranges::find(buffers, part) != buffers.end();
}

/// What the shared module of a layer mixes with, from the kinds of the layer; a layer that the
/// model does not have is a draft head, which is softmax attention.
TensorGroup group_in_mixing_module(std::span<const LayerKind> kinds,
                                   std::span<const std::string> parts) {
    if (std::ranges::any_of(parts, is_buffer_name)) {
        return TensorGroup::other;
    }
    const auto has = [&](LayerKind kind) { return std::ranges::find(kinds, kind) != kinds.end(); };
    if (!kinds.empty() && !has(LayerKind::full) && !has(LayerKind::sliding) &&
        !has(LayerKind::mla)) {
        return has(LayerKind::mlp) ? TensorGroup::mlp : TensorGroup::mixer;
    }
    for (const std::string& part : parts) {
        if (const auto group = find_group(softmax_parts, part)) {
            return *group;
        }
        if (is_norm_name(part)) {
            return TensorGroup::norms;
        }
    }
    return TensorGroup::other;
}

bool has_softmax(std::span<const LayerKind> kinds) {
    // A layer that the model does not have is a draft head, which is softmax attention.
    return kinds.empty() || std::ranges::any_of(kinds, [](LayerKind kind) {
               return kind == LayerKind::full || kind == LayerKind::sliding ||
                      kind == LayerKind::mla;
           });
}

/// A tensor of a block of a GGUF file, which names no modules: "attn_output.weight".
TensorGroup group_in_block(std::span<const LayerKind> kinds, std::string_view rest) {
    const std::string_view part = rest.substr(0, rest.find('.'));
    constexpr std::array<std::string_view, 7> layer_norms{"attn_norm",
                                                          "attn_norm_2",
                                                          "ffn_norm",
                                                          "attn_post_norm",
                                                          "post_attention_norm",
                                                          "post_ffw_norm",
                                                          "layer_output_norm"};
    if (std::ranges::find(layer_norms, part) != layer_norms.end()) {
        return TensorGroup::norms;
    }
    if (part.starts_with("ffn_") || part.starts_with("exp_")) {
        return TensorGroup::mlp;
    }
    if (part.starts_with("ssm_") || part == "shortconv") {
        return TensorGroup::mixer;
    }
    if (!part.starts_with("attn_")) {
        return TensorGroup::other;
    }
    if (!has_softmax(kinds)) {
        return TensorGroup::mixer;
    }
    return part == "attn_output" ? TensorGroup::o
           : part == "attn_gate" ? TensorGroup::gate
           : is_norm_name(part)  ? TensorGroup::norms
                                 : TensorGroup::other;
}

TensorGroup group_in_layer(std::span<const LayerKind> kinds, std::string_view rest) {
    std::vector<std::string> parts = split(rest, '.');
    // Zamba2 wraps the two mixers of a hybrid layer once more.
    if (parts.front() == "shared_transformer" || parts.front() == "mamba_decoder") {
        parts.erase(parts.begin());
    }
    const std::string& module = parts.empty() ? std::string() : parts.front();
    if (const auto group = find_group(layer_modules, module)) {
        return *group;
    }
    if (std::ranges::find(mixing_modules, module) != mixing_modules.end()) {
        return group_in_mixing_module(kinds, std::span(parts).subspan(1));
    }
    return is_norm_name(module) ? TensorGroup::norms : TensorGroup::other;
}

}  // namespace

std::optional<TensorGroup> find_group_of_rows(AttentionGroup group,
                                              std::span<const RowSegment> segments) {
    return find_group_of_parts(group, segments);
}

bool is_buffer(std::string_view rest) {
    return std::ranges::any_of(split(rest, '.'), is_buffer_name);
}

std::optional<TensorGroup> classify_tensor(const Model& model, std::string_view tensor_name) {
    if (const auto weight = find_weight_of_scale(tensor_name)) {
        return classify_tensor(model, *weight);
    }
    if (const AttentionTensor* tensor = model.find_attention(tensor_name)) {
        return find_group_of_parts(tensor->group, tensor->blocks);
    }
    const std::string canonical = canonical_name(tensor_name);
    if (model.blueprint != nullptr && model.blueprint->is_complete) {
        if (const PlannedTensor* planned = model.blueprint->find_named(canonical)) {
            return planned->group;
        }
    }
    std::string_view name = canonical;
    const bool is_draft_head = name.starts_with("mtp.");
    if (is_draft_head) {
        name.remove_prefix(std::string_view("mtp.").size());
    }
    if (const auto numbered = find_numbered(name)) {
        const bool is_declared = !is_draft_head && numbered->number < model.layers.size();
        const auto kinds = is_declared
                               ? std::span<const LayerKind>(model.layers[numbered->number].kinds)
                               : std::span<const LayerKind>();
        return numbered->container == "blk" ? group_in_block(kinds, numbered->rest)
                                            : group_in_layer(kinds, numbered->rest);
    }
    const std::string_view first = name.substr(0, name.find('.'));
    if (const auto group = find_group(outer_names, first)) {
        return group;
    }
    return is_draft_head && is_norm_name(first) ? TensorGroup::norms : TensorGroup::other;
}

}  // namespace anamnesis::checkpoint
