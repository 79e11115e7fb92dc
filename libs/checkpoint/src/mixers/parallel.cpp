// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/mixers/parallel.hpp"

#include "anamnesis/checkpoint/model.hpp"

#include "layer_tensors.hpp"

namespace anamnesis::checkpoint {

void list_tensors(const ParallelSpec& spec, LayerTensors& tensors) {
    const Module module{.name = "mamba"};
    LayerTensors mamba = tensors.in_module(module, TensorGroup::mixer);
    mamba.set_role_prefix(role::mamba_prefix);
    list_tensors(spec.mamba, mamba);
    list_tensors(spec.attention, tensors);
}

}  // namespace anamnesis::checkpoint
