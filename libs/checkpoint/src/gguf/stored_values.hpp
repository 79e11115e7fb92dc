// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "gguf/running_names.hpp"

namespace anamnesis::checkpoint {

/// The tensor `name` of shape `shape` that `stored` makes: as it lies where nothing changes, else
/// computed as it is read. A matrix keeps the type of plain values, and quantised ones become
/// float32; `head_rows` is that of heads whose halves are interleaved (0: none). Errors:
/// `mismatch` for stored shapes that do not make the planned one; `unsupported` for types whose
/// values need a codebook.
TensorEntry make_matrix(const StoredTensor& stored,
                        std::string name,
                        const Shape& shape,
                        std::uint64_t head_rows);

/// The same for gains, biases, decays and kernels, which are small: any shape of as many values.
TensorEntry make_vector(const StoredTensor& stored,
                        std::string name,
                        const Shape& shape,
                        std::uint64_t head_rows);

}  // namespace anamnesis::checkpoint
