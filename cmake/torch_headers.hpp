// SPDX-License-Identifier: Apache-2.0
#pragma once

// The part of LibTorch that anamnesis/runtime/torch.hpp opens (TorchHeaders.cmake).

#ifndef AT_PER_OPERATOR_HEADERS
#define AT_PER_OPERATOR_HEADERS
#endif

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
