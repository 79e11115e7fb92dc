// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// True where the products below are the fastest of bfloat16 factors: on processors with
/// instructions for pairs of it and no unit for whole tiles, which LibTorch's oneDNN knows.
bool has_bf16_panels(const at::Tensor& x, const at::Tensor& weight);

/// x weight^T of bfloat16 factors, summed and left in float32. Where has_bf16_panels(); no
/// gradients. Shapes: x [..., inputs], weight [outputs, inputs] -> [..., outputs].
at::Tensor panel_product(const at::Tensor& x, const at::Tensor& weight);

/// silu(x gate^T) * (x up^T), rounded to bfloat16 at the end alone; the same otherwise.
at::Tensor panel_swiglu(const at::Tensor& x, const at::Tensor& gate, const at::Tensor& up);

}  // namespace anamnesis::runtime
