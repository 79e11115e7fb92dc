// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

namespace anamnesis::runtime {

/// True where this processor multiplies bfloat16.
bool has_bf16_products() noexcept;

/// sum += rows^T rows, at and below the diagonal; what lies above it becomes nothing of use.
/// Products of bfloat16 are exact and are summed in float32 over these rows, so that the sum of
/// n rows is off by about 2^-25 sqrt(n) of it: where one column is far larger than another, more
/// than the other's own size. Only where has_bf16_products().
/// Shapes: sum [n, n] float64, rows [T, n] bfloat16, both on the CPU and contiguous.
void add_second_moment(const at::Tensor& sum, const at::Tensor& rows);

}  // namespace anamnesis::runtime
