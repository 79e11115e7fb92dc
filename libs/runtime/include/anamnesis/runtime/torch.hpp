// SPDX-License-Identifier: Apache-2.0
#pragma once

// The gate to LibTorch: rooms that link it include this and single operators
// (<ATen/ops/matmul.h>), never <torch/torch.h>, which costs 36 s a file.

#include <cstdint>

// Its operators come one by one, not as all of <ATen/Functions.h>.
#ifndef AT_PER_OPERATOR_HEADERS
#define AT_PER_OPERATOR_HEADERS  // NOLINT(readability-identifier-naming): LibTorch's name
#endif

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <torch/headeronly/version.h>

#include "anamnesis/base/dtype.hpp"

namespace anamnesis::runtime {

static_assert(TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 11,
              "LibTorch 2.11 or newer; tools/bootstrap.sh --full installs 2.13");

/// LibTorch's name of a type. Errors: `unsupported` for types that LibTorch does not compute with.
at::ScalarType to_scalar_type(DType dtype);
/// Errors: `unsupported` for types that safetensors has no name for.
DType to_dtype(at::ScalarType type);

/// The shape of an argument at the door of a function: -1 accepts any size.
/// Errors: `internal`, naming `what`.
void check_shape(const at::Tensor& tensor, at::IntArrayRef expected, const char* what);

}  // namespace anamnesis::runtime
