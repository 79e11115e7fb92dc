// SPDX-License-Identifier: Apache-2.0
#include "packed_rows.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/check.hpp"

#include "cpu_kernels.hpp"

namespace anamnesis::runtime {
namespace {

std::span<const std::byte> bytes_of_row(const PackedRows& packed, std::int64_t row) {
    const auto size = static_cast<std::size_t>(packed.bytes.size(1));
    return {static_cast<const std::byte*>(packed.bytes.const_data_ptr()) +
                static_cast<std::size_t>(row) * size,
            size};
}

/// Rows for which a thread is worth its start.
constexpr std::int64_t grain = 8;

}  // namespace

void unpack(const PackedRows& packed, at::Tensor& target) {
    ANAMNESIS_CHECK(
        target.is_contiguous() && target.size(0) == packed.rows() &&
            target.size(1) == packed.columns &&
            (target.scalar_type() == at::kFloat || target.scalar_type() == at::kBFloat16),
        "a place for the values of packed rows");
    const auto columns = static_cast<std::size_t>(packed.columns);
    at::parallel_for(0, packed.rows(), grain, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> values(columns);
        for (std::int64_t row = begin; row < end; ++row) {
            const auto offset = static_cast<std::size_t>(row) * columns;
            if (target.scalar_type() == at::kFloat) {
                dequantise(packed.dtype,
                           bytes_of_row(packed, row),
                           std::span(target.mutable_data_ptr<float>() + offset, columns));
            } else {
                dequantise(packed.dtype, bytes_of_row(packed, row), values);
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
