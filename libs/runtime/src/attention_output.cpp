// SPDX-License-Identifier: Apache-2.0
#include "attention_output.hpp"

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "norm.hpp"

namespace anamnesis::runtime {

at::Tensor finish_attention(const Linear& projection, AttentionValues values, const Call& call) {
    const at::Tensor through =
        values.gate.defined() ? gated(values.mixed, values.gate) : values.mixed;
    const at::Tensor merged = through.flatten(2);
    call.tell_input(checkpoint::role::output, merged);
    at::Tensor output = apply(projection, merged);
    if (call.attention != nullptr) {
        values.output = output;
        (*call.attention)(call.layer, values);
    }
    return output;
}

}  // namespace anamnesis::runtime
