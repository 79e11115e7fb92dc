// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/lightning.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const LightningSpec& spec, LayerTensors& tensors) {
    const std::uint64_t head = spec.heads.head_dim;
    const std::uint64_t queries = spec.heads.query_heads * head;
    const std::uint64_t keys = spec.heads.kv_heads * head;
    const std::uint64_t hidden = tensors.hidden_size();
    const auto presence = [](Part part) {
        return part == Part::present ? Presence::required : Presence::optional;
    };
    using Matrix = LayerTensors::Matrix;
    using Vector = LayerTensors::Vector;
    if (spec.fused != FusedRows::none) {
        tensors.add(Matrix{.role = role::query_key_value,
                           .name = "qkv_proj",
                           .outputs = queries + 2 * keys,
                           .inputs = hidden});
    } else {
        tensors.add(
            Matrix{.role = role::query, .name = "q_proj", .outputs = queries, .inputs = hidden});
        tensors.add(Matrix{.role = role::key, .name = "k_proj", .outputs = keys, .inputs = hidden});
        tensors.add(
            Matrix{.role = role::value, .name = "v_proj", .outputs = keys, .inputs = hidden});
    }
    tensors.add(Matrix{.role = role::output,
                       .name = "o_proj",
                       .outputs = hidden,
                       .inputs = queries,
                       .initial = Initial::stream_matrix});
    if (spec.qk_norm != Part::absent) {
        tensors.add(Vector{.role = role::query_norm,
                           .name = "q_norm.weight",
                           .shape = {head},
                           .presence = presence(spec.qk_norm)});
        tensors.add(Vector{.role = role::key_norm,
                           .name = "k_norm.weight",
                           .shape = {head},
                           .presence = presence(spec.qk_norm)});
    }
    if (spec.output_gate != Part::absent) {
        tensors.add(Matrix{.role = role::output_gate,
                           .name = "z_proj",
                           .outputs = queries,
                           .inputs = hidden,
                           .presence = presence(spec.output_gate)});
    }
    if (spec.output_norm != Part::absent) {
        tensors.add(Vector{.role = role::output_norm,
                           .name = "o_norm.weight",
                           .shape = {queries},
                           .presence = presence(spec.output_norm)});
    }
}

}  // namespace anamnesis::checkpoint
