// SPDX-License-Identifier: Apache-2.0
#include "packed_rows.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "anamnesis/base/check.hpp"

#include "cpu_kernels.hpp"
#include "cpu_packed.hpp"

namespace anamnesis::runtime {
namespace {

/// Rows for which a thread is worth its start.
constexpr std::int64_t grain = 8;

}  // namespace

cpu::PackedMatrix to_matrix(const PackedRows& packed) {
    return {.bytes = static_cast<const std::byte*>(packed.bytes.const_data_ptr()),
            .row_bytes = static_cast<std::size_t>(packed.bytes.size(1)),
            .dtype = packed.dtype};
}

void unpack(const PackedRows& packed, at::Tensor& target) {
    ANAMNESIS_CHECK(
        target.is_contiguous() && target.size(0) == packed.rows() &&
            target.size(1) == packed.columns &&
            (target.scalar_type() == at::kFloat || target.scalar_type() == at::kBFloat16),
        "a place for the values of packed rows");
    const auto columns = static_cast<std::size_t>(packed.columns);
    const cpu::PackedMatrix matrix = to_matrix(packed);
    at::parallel_for(0, packed.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> values(columns);
        for (std::int64_t at_row = begin; at_row < end; ++at_row) {
            const auto row = static_cast<std::size_t>(at_row);
            const std::size_t offset = row * columns;
            if (target.scalar_type() == at::kFloat) {
                cpu::unpack(matrix, row, target.mutable_data_ptr<float>() + offset, columns);
            } else {
                cpu::unpack(matrix, row, values.data(), columns);
                cpu::narrow(values.data(),
                            static_cast<cpu::Bf16*>(target.mutable_data_ptr()) + offset,
                            columns);
            }
        }
    });
}

at::Tensor unpack_rows(const PackedRows& packed, const at::Tensor& rows) {
    const at::Tensor wanted = rows.contiguous();
    const auto* indices = wanted.const_data_ptr<std::int64_t>();
    at::Tensor values = at::empty({wanted.numel(), packed.columns}, at::kFloat);
    for (std::int64_t i = 0; i < wanted.numel(); ++i) {
        ANAMNESIS_CHECK(indices[i] >= 0 && indices[i] < packed.rows(), "a row of the matrix");
        at::Tensor row = values.narrow(0, i, 1);
        unpack(packed.narrow(indices[i], 1), row);
    }
    return values;
}

}  // namespace anamnesis::runtime
