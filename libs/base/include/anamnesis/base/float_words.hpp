// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/words.hpp"

namespace anamnesis {

/// The types that a command line may name for weights and caches, widest first.
inline constexpr std::array<Word<DType>, 4> float_words{{
    {DType::f64, "f64"},
    {DType::f32, "f32"},
    {DType::bf16, "bf16"},
    {DType::f16, "f16"},
}};

}  // namespace anamnesis
