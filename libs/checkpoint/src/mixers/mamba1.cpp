// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/mamba1.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {
namespace {

void add_inner_norms(const Mamba1Spec& spec, LayerTensors& tensors) {
    using Vector = LayerTensors::Vector;
    tensors.add(
        Vector{.role = role::step_norm, .name = "dt_layernorm.weight", .shape = {spec.step_rank}});
    tensors.add(
        Vector{.role = role::b_norm, .name = "b_layernorm.weight", .shape = {spec.state_size}});
    tensors.add(
        Vector{.role = role::c_norm, .name = "c_layernorm.weight", .shape = {spec.state_size}});
}

}  // namespace

void list_tensors(const Mamba1Spec& spec, LayerTensors& tensors) {
    using Matrix = LayerTensors::Matrix;
    using Vector = LayerTensors::Vector;
    const std::uint64_t channels = spec.channels;
    const Presence bias = spec.has_bias ? Presence::required : Presence::absent;
    tensors.add(Matrix{.role = role::input_projection,
                       .name = "in_proj",
                       .outputs = 2 * channels,
                       .inputs = tensors.hidden_size(),
                       .bias = bias});
    tensors.add(Vector{.role = role::kernel,
                       .name = "conv1d.weight",
                       .shape = {channels, 1, spec.conv_width},
                       .initial = Initial::kernel});
    if (spec.has_conv_bias) {
        tensors.add(Vector{.role = role::kernel_bias,
                           .name = "conv1d.bias",
                           .shape = {channels},
                           .initial = Initial::zeros});
    }
    tensors.add(Matrix{.role = role::scan_inputs,
                       .name = "x_proj",
                       .outputs = spec.step_rank + 2 * std::uint64_t{spec.state_size},
                       .inputs = channels,
                       .bias = Presence::absent});
    tensors.add(Matrix{.role = role::step,
                       .name = "dt_proj",
                       .outputs = channels,
                       .inputs = spec.step_rank,
                       .bias = Presence::required,
                       .initial_bias = Initial::step_bias});
    tensors.add(Vector{.role = role::log_rate,
                       .name = "A_log",
                       .shape = {channels, spec.state_size},
                       .initial = Initial::log_ranks});
    tensors.add(Vector{.role = role::skip, .name = "D", .shape = {channels}});
    if (spec.has_inner_norms) {
        add_inner_norms(spec, tensors);
    }
    tensors.add(Matrix{.role = role::output,
                       .name = "out_proj",
                       .outputs = tensors.hidden_size(),
                       .inputs = channels,
                       .bias = bias,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
