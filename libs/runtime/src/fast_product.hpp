// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// x weight^T on the CPU, both in float32 or both in bfloat16; either may be a transposed view.
/// LibTorch's oneDNN multiplies where this build has it: its MKL uses AVX2 at most on processors
/// that are not Intel's. No gradients.
/// Shapes: x [n, k], weight [m, k] -> [n, m].
at::Tensor fast_product(const at::Tensor& x, const at::Tensor& weight);

}  // namespace anamnesis::runtime
