// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include "anamnesis/runtime/network.hpp"

#include "layer_call.hpp"
#include "linear.hpp"

namespace anamnesis::runtime {

/// What softmax attention of any kind does last: its gate, where `values.gate` is one, and the
/// output projection. Tells the observers of the call; `values.output` is filled in.
/// Shapes: values.mixed [B, T, heads, D] -> [B, T, d].
at::Tensor finish_attention(const Linear& projection, AttentionValues values, const Call& call);

}  // namespace anamnesis::runtime
