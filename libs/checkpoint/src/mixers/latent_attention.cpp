// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/latent_attention.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const LatentAttentionSpec& spec, LayerTensors& tensors) {
    const std::uint64_t hidden = tensors.hidden_size();
    tensors.add_softmax_projections();
    tensors.set_group(TensorGroup::o);
    tensors.add(LayerTensors::Matrix{.role = role::output,
                                     .name = "o_proj",
                                     .outputs = hidden,
                                     .inputs = std::uint64_t{spec.heads} * spec.value_dim,
                                     .initial = Initial::stream_matrix});
    tensors.add_softmax_norms();
    if (spec.has_head_gate) {
        tensors.set_group(TensorGroup::gate);
        tensors.add(LayerTensors::Matrix{
            .role = role::output_gate, .name = "g_proj", .outputs = spec.heads, .inputs = hidden});
    }
}

}  // namespace anamnesis::checkpoint
