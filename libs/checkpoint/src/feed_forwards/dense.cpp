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
    Presence bias = Presence::optional;
    if (spec.has_biases) {
        bias = *spec.has_biases ? Presence::required : Presence::absent;
    }
    const auto add = [&](std::string_view role, std::string_view name, std::uint64_t outputs) {
        tensors.add(
            Matrix{.role = role, .name = name, .outputs = outputs, .inputs = hidden, .bias = bias});
    };
    if (spec.is_gated && spec.is_fused) {
        add(role::gate_up, "gate_up_proj", 2 * width);
    } else {
        if (spec.is_gated) {
            add(role::gate, "gate_proj", width);
        }
        add(role::up, "up_proj", width);
    }
    tensors.add(Matrix{.role = role::down,
                       .name = "down_proj",
                       .outputs = hidden,
                       .inputs = width,
                       .bias = bias,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
