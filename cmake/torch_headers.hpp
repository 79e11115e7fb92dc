// SPDX-License-Identifier: Apache-2.0
#pragma once

// The part of LibTorch that anamnesis/runtime/torch.hpp opens, and what every room's files begin
// with (TorchHeaders.cmake, RoomHeaders.cmake).

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#ifndef AT_PER_OPERATOR_HEADERS
#define AT_PER_OPERATOR_HEADERS
#endif

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
