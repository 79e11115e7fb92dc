// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/shape.hpp"

namespace anamnesis::formats {

/// A tensor that is to be written.
struct TensorSpec {
    std::string name;
    DType dtype = DType::f32;
    Shape shape{};
};

/// The first bytes of a safetensors file: length and padded header. Tensors are laid out in the
/// order given; the data section starts at the end of this text.
struct SafetensorsPrologue {
    std::string bytes;
    std::vector<std::uint64_t> offsets;  ///< of each tensor within the data section
    std::uint64_t data_bytes = 0;
};

/// Errors: `usage` for a repeated name, a size that overflows or a header above the limit.
SafetensorsPrologue make_safetensors_prologue(
    const std::vector<TensorSpec>& tensors,
    const std::vector<std::pair<std::string, std::string>>& metadata);

}  // namespace anamnesis::formats
