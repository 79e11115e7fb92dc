// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/kimi_delta.hpp"

#include <cstdint>
#include <string_view>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

using Matrix = LayerTensors::Matrix;
using Vector = LayerTensors::Vector;

void add_matrix(LayerTensors& tensors,
                std::string_view role,
                std::string_view name,
                std::uint64_t outputs,
                std::uint64_t inputs) {
    tensors.add(Matrix{.role = role, .name = name, .outputs = outputs, .inputs = inputs});
}

void add_kernel(LayerTensors& tensors,
                std::string_view role,
                std::string_view name,
                const Shape& shape) {
    tensors.add(Vector{.role = role, .name = name, .shape = shape, .initial = Initial::kernel});
}

void add_gates(const KimiDeltaSpec& spec, LayerTensors& tensors, std::uint64_t channels) {
    const std::uint64_t hidden = tensors.hidden_size();
    if (!spec.gate_rank) {
        add_matrix(tensors, role::decay, "f_proj", channels, hidden);
        add_matrix(tensors, role::output_gate, "g_proj", channels, hidden);
        return;
    }
    const std::uint64_t rank = *spec.gate_rank;
    add_matrix(tensors, role::decay_input, "f_a_proj", rank, hidden);
    add_matrix(tensors, role::decay, "f_b_proj", channels, rank);
    add_matrix(tensors, role::gate_input, "g_a_proj", rank, hidden);
    add_matrix(tensors, role::output_gate, "g_b_proj", channels, rank);
}

}  // namespace

void list_tensors(const KimiDeltaSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t channels = std::uint64_t{spec.heads} * spec.head_dim;
    const Shape kernel{channels, 1, spec.conv_width};
    add_matrix(tensors, role::query, "q_proj", channels, hidden);
    add_matrix(tensors, role::key, "k_proj", channels, hidden);
    add_matrix(tensors, role::value, "v_proj", channels, hidden);
    add_kernel(tensors, role::query_kernel, "q_conv1d.weight", kernel);
    add_kernel(tensors, role::key_kernel, "k_conv1d.weight", kernel);
    add_kernel(tensors, role::value_kernel, "v_conv1d.weight", kernel);
    add_gates(spec, tensors, channels);
    add_matrix(tensors, role::learning_rate, "b_proj", spec.heads, hidden);
    // Kimi writes the first shape, Ling the second.
    const Shape as_tensor{1, 1, spec.heads, 1};
    const Shape as_vector{spec.heads};
    tensors.add(Vector{.role = role::log_rate,
                       .name = "A_log",
                       .shape = spec.gate_rank ? as_tensor : as_vector,
                       .initial = Initial::log_rate,
                       .other_shapes = {spec.gate_rank ? as_vector : as_tensor}});
    tensors.add(Vector{.role = role::step_bias,
                       .name = "dt_bias",
                       .shape = {channels},
                       .initial = Initial::step_bias});
    tensors.add(
        Vector{.role = role::output_norm, .name = "o_norm.weight", .shape = {spec.head_dim}});
    tensors.add(Matrix{.role = role::output,
                       .name = "o_proj",
                       .outputs = hidden,
                       .inputs = channels,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
