// SPDX-License-Identifier: Apache-2.0
#include "equal_values.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::checkpoint {
namespace {

constexpr std::uint64_t values_at_once = std::uint64_t{1} << 18U;

std::vector<double> read_values(const TensorEntry& tensor,
                                std::uint64_t begin,
                                std::uint64_t rows) {
    std::vector<std::byte> bytes(rows * tensor.row_bytes());
    tensor.read_at(begin * tensor.row_bytes(), bytes);
    std::vector<double> values(rows * tensor.columns());
    widen(tensor.dtype, bytes, values);
    return values;
}

}  // namespace

bool have_equal_values(const TensorEntry& copy, const TensorEntry& original) {
    const bool can_be_read = is_arithmetic(copy.dtype) && is_arithmetic(original.dtype) &&
                             copy.columns() != 0 && original.columns() != 0;
    if (copy.shape != original.shape || !can_be_read) {
        return false;
    }
    const std::uint64_t step = std::max<std::uint64_t>(1, values_at_once / copy.columns());
    for (std::uint64_t begin = 0; begin < copy.rows(); begin += step) {
        const std::uint64_t rows = std::min(step, copy.rows() - begin);
        std::vector<double> values = read_values(original, begin, rows);
        std::vector<std::byte> rounded(rows * copy.row_bytes());
        narrow(copy.dtype, values, rounded);
        widen(copy.dtype, rounded, values);
        if (read_values(copy, begin, rows) != values) {
            return false;
        }
    }
    return true;
}

}  // namespace anamnesis::checkpoint
