// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/rg_lru.hpp"

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const RgLruSpec& spec, LayerTensors& tensors) {
    using Matrix = LayerTensors::Matrix;
    using Vector = LayerTensors::Vector;
    const std::uint64_t channels = spec.channels;
    const std::uint64_t heads = spec.heads;
    const std::uint64_t width = channels / heads;
    const auto add_input = [&](std::string_view role, std::string_view name) {
        tensors.add(Matrix{.role = role,
                           .name = name,
                           .outputs = channels,
                           .inputs = tensors.hidden_size(),
                           .bias = Presence::required});
    };
    add_input(role::branch, "linear_y");
    add_input(role::recurrent_input, "linear_x");
    tensors.add(Vector{.role = role::kernel,
                       .name = "conv_1d.weight",
                       .shape = {channels, 1, spec.conv_width},
                       .initial = Initial::kernel});
    tensors.add(Vector{.role = role::kernel_bias,
                       .name = "conv_1d.bias",
                       .shape = {channels},
                       .initial = Initial::zeros});
    tensors.add(Vector{.role = role::decay_rate,
                       .name = "rg_lru.recurrent_param",
                       .shape = {channels},
                       .initial = Initial::decay_rate});
    const auto add_gate = [&](std::string_view matrix_role,
                              std::string_view matrix,
                              std::string_view bias_role,
                              std::string_view bias) {
        tensors.add(Vector{.role = matrix_role,
                           .name = matrix,
                           .shape = {heads, width, width},
                           .initial = Initial::matrix});
        tensors.add(Vector{
            .role = bias_role, .name = bias, .shape = {heads, width}, .initial = Initial::zeros});
    };
    add_gate(role::input_gate,
             "rg_lru.input_gate_weight",
             role::input_gate_bias,
             "rg_lru.input_gate_bias");
    add_gate(role::decay_gate,
             "rg_lru.recurrent_gate_weight",
             role::decay_gate_bias,
             "rg_lru.recurrent_gate_bias");
    tensors.add(Matrix{.role = role::output,
                       .name = "linear_out",
                       .outputs = tensors.hidden_size(),
                       .inputs = channels,
                       .bias = Presence::required,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
