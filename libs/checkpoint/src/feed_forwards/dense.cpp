// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/feed_forwards/dense.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const DenseSpec& spec, LayerTensors& tensors) {
    using Matrix = LayerTensors::Matrix;
    const std::uint64_t hidden = tensors.hidden_size();
    tensors.add(
        Matrix{.role = role::gate, .name = "gate_proj", .outputs = spec.width, .inputs = hidden});
    tensors.add(
        Matrix{.role = role::up, .name = "up_proj", .outputs = spec.width, .inputs = hidden});
    tensors.add(Matrix{.role = role::down,
                       .name = "down_proj",
                       .outputs = hidden,
                       .inputs = spec.width,
                       .initial = Initial::stream_matrix});
}

}  // namespace anamnesis::checkpoint
