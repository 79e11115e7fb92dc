// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::runtime {

/// Token ids of texts of one length.
struct InputIds {
    std::vector<std::int64_t> ids;
    Shape shape;  ///< [batch, length]
};

/// The tensor `input_ids` of a .safetensors file, I64 or I32 of shape [B, T].
/// Errors: `not_found` and `mismatch` for one that is missing or of another kind; those of the
/// file.
InputIds read_input_ids(const std::string& path);

/// Writes a .safetensors file of float32 tensors, whole or not at all.
void write_arrays(const std::string& path, const std::vector<NamedArray>& arrays);

/// Names and shapes, without values.
Json describe(const std::vector<NamedArray>& arrays);

}  // namespace anamnesis::runtime
