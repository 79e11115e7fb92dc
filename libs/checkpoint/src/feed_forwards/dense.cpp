// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/feed_forwards/dense.hpp"

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

std::string_view to_string(Activation activation) noexcept {
    switch (activation) {
        case Activation::silu:
            return "silu";
        case Activation::gelu:
            return "gelu";
        case Activation::gelu_tanh:
            return "gelu_tanh";
        case Activation::squared_relu:
            return "relu2";
        case Activation::clamped_swiglu:
            return "clamped_swiglu";
    }
    return "";
}

void list_tensors(const DenseSpec& spec, LayerTensors& tensors) {
    using Matrix = LayerTensors::Matrix;
    const std::uint64_t hidden = tensors.hidden_size();
    const std::uint64_t width = spec.width;
    if (spec.is_gated && spec.is_fused) {
        tensors.add(Matrix{
            .role = role::gate_up, .name = "gate_up_proj", .outputs = 2 * width, .inputs = hidden});
    } else {
        if (spec.is_gated) {
            tensors.add(Matrix{
                .role = role::gate, .name = "gate_proj", .outputs = width, .inputs = hidden});
        }
        tensors.add(
            Matrix{.role = role::up, .name = "up_proj", .outputs = width, .inputs = hidden});
    }
    tensors.add(Matrix{.role = role::down,
                       .name = "down_proj",
                       .outputs = hidden,
                       .inputs = width,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
