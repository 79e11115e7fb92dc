// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/short_convolution.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const ShortConvolutionSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    const Presence bias = spec.has_bias ? Presence::required : Presence::absent;
    tensors.add(LayerTensors::Matrix{.role = role::gates_and_input,
                                     .name = "in_proj",
                                     .outputs = 3 * hidden,
                                     .inputs = hidden,
                                     .bias = bias});
    tensors.add(LayerTensors::Vector{.role = role::kernel,
                                     .name = "conv.weight",
                                     .shape = {hidden, 1, spec.taps},
                                     .initial = Initial::kernel});
    if (spec.has_bias) {
        tensors.add(LayerTensors::Vector{.role = role::kernel_bias,
                                         .name = "conv.bias",
                                         .shape = {hidden},
                                         .initial = Initial::zeros});
    }
    tensors.add(LayerTensors::Matrix{.role = role::output,
                                     .name = "out_proj",
                                     .outputs = hidden,
                                     .inputs = hidden,
                                     .bias = bias,
                                     .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
