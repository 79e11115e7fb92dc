// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "anamnesis/base/dtype.hpp"

#include "cpu_packed.hpp"

namespace anamnesis::runtime {

/// A matrix whose rows are block-quantised, as they lie in a file.
struct PackedRows {
    at::Tensor bytes{};  ///< [rows, bytes of a row] uint8, on the CPU; undefined: no matrix
    DType dtype = DType::q8_0;
    std::int64_t columns = 0;

    bool is_defined() const { return bytes.defined(); }
    std::int64_t rows() const { return bytes.size(0); }
    /// Rows [first, first + count).
    PackedRows narrow(std::int64_t first, std::int64_t count) const {
        return {.bytes = bytes.narrow(0, first, count), .dtype = dtype, .columns = columns};
    }
};

cpu::PackedMatrix to_matrix(const PackedRows& packed);

/// The values of all rows, on all threads.
/// Shapes: target [rows, columns], contiguous, float32 or bfloat16.
void unpack(const PackedRows& packed, at::Tensor& target);

/// The values of some rows. Shapes: rows [n] int64 -> [n, columns] float32.
at::Tensor unpack_rows(const PackedRows& packed, const at::Tensor& rows);

}  // namespace anamnesis::runtime
