// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/mamba2.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const Mamba2Spec& spec, LayerTensors& tensors) {
    using Matrix = LayerTensors::Matrix;
    using Vector = LayerTensors::Vector;
    const std::uint64_t inner = std::uint64_t{spec.heads} * spec.head_dim;
    const std::uint64_t shared = 2 * std::uint64_t{spec.groups} * spec.state_size;
    const auto to_presence = [](bool is_there) {
        return is_there ? Presence::required : Presence::absent;
    };
    tensors.add(Matrix{.role = role::input_projection,
                       .name = "in_proj",
                       .outputs = 2 * inner + shared + spec.heads,
                       .inputs = tensors.hidden_size(),
                       .bias = to_presence(spec.has_input_bias)});
    tensors.add(Vector{.role = role::kernel,
                       .name = "conv1d.weight",
                       .shape = {inner + shared, 1, spec.conv_width},
                       .initial = Initial::kernel});
    if (spec.has_conv_bias) {
        tensors.add(Vector{.role = role::kernel_bias,
                           .name = "conv1d.bias",
                           .shape = {inner + shared},
                           .initial = Initial::zeros});
    }
    tensors.add(Vector{.role = role::step_bias,
                       .name = "dt_bias",
                       .shape = {spec.heads},
                       .initial = Initial::step_bias});
    tensors.add(Vector{.role = role::log_rate,
                       .name = "A_log",
                       .shape = {spec.heads},
                       .initial = Initial::log_rate});
    tensors.add(Vector{.role = role::skip, .name = "D", .shape = {spec.heads}});
    if (spec.norm != GatedNorm::none) {
        tensors.add(Vector{.role = role::output_norm, .name = "norm.weight", .shape = {inner}});
    }
    tensors.add(Matrix{.role = role::output,
                       .name = "out_proj",
                       .outputs = tensors.hidden_size(),
                       .inputs = inner,
                       .bias = to_presence(spec.has_output_bias),
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
