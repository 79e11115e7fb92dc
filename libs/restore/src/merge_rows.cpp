// SPDX-License-Identifier: Apache-2.0
#include "merge_rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/merge.hpp"

#include "adapter_values.hpp"

// The compiler writes one version for each instruction set, the processor picks.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ANAMNESIS_MERGE_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define ANAMNESIS_MERGE_CLONES
#endif
#define ANAMNESIS_MERGE_INLINE __attribute__((always_inline)) inline

namespace anamnesis::restore {
namespace {

using linalg::Matrix;
using linalg::MatrixView;

/// Bits of bf16 nearest to a float32; those of `bf16_from_f32`, in a form that vectorises.
ANAMNESIS_MERGE_INLINE std::uint32_t round_to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
    const std::uint32_t quiet = (bits >> 16U) | 0x40U;
    return (bits & 0x7FFF'FFFFU) > 0x7F80'0000U ? quiet : rounded;
}

/// Adds a row of float32 sums to a row of bf16 and rounds. `error` times (|w| + reach of the
/// column) bounds how far a float32 sum may lie from the exact one; `is_open` tells where the two
/// ends of that interval round apart. Returns whether any do.
ANAMNESIS_MERGE_CLONES bool add_to_bf16(const float* sums,
                                        const float* reach,
                                        float row_reach,
                                        float error,
                                        std::uint16_t* row,
                                        std::uint16_t* is_open,
                                        std::size_t count) {
    std::uint32_t any = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const float base = std::bit_cast<float>(static_cast<std::uint32_t>(row[i]) << 16U);
        const float sum = base + sums[i];
        const float radius = error * (std::abs(base) + row_reach * reach[i]);
        const std::uint32_t low = round_to_bf16(sum - radius);
        const std::uint32_t high = round_to_bf16(sum + radius);
        const std::uint32_t apart = low ^ high;
        // An open element keeps its base: the exact sum starts from it.
        row[i] = static_cast<std::uint16_t>(apart == 0 ? low : row[i]);
        is_open[i] = static_cast<std::uint16_t>(apart);
        any |= apart;
    }
    return any != 0;
}

bool holds_floats(DType dtype) {
    return dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16;
}

Matrix transpose(const Matrix& matrix) {
    Matrix result(matrix.columns(), matrix.rows());
    for (std::size_t i = 0; i < matrix.rows(); ++i) {
        for (std::size_t j = 0; j < matrix.columns(); ++j) {
            result(j, i) = matrix(i, j);
        }
    }
    return result;
}

Matrix load_all(const checkpoint::TensorEntry& tensor) {
    return load_rows(tensor, {.begin = 0, .end = tensor.rows()});
}

/// Row by row, so that no copy of the whole in float64 is made.
std::vector<float> load_floats(const checkpoint::TensorEntry& tensor) {
    std::vector<float> values;
    values.reserve(tensor.rows() * tensor.columns());
    for (std::uint64_t row = 0; row < tensor.rows(); ++row) {
        const Matrix one = load_rows(tensor, {.begin = row, .end = row + 1});
        for (const double value : one.values()) {
            values.push_back(static_cast<float>(value));
        }
    }
    return values;
}

std::vector<float> to_floats(MatrixView<const double> values) {
    std::vector<float> floats;
    floats.reserve(values.rows() * values.columns());
    for (std::size_t i = 0; i < values.rows(); ++i) {
        for (const double value : values.row(i)) {
            floats.push_back(static_cast<float>(value));
        }
    }
    return floats;
}

/// Errors: `numerical` for a factor of an adapter whose run diverged.
void require_finite(const checkpoint::TensorEntry& factor, bool is_finite) {
    if (!is_finite) {
        throw Error(ErrorKind::numerical,
                    format("adapter tensor {} holds values that are NaN or infinite: the run that "
                           "wrote it diverged; take an earlier checkpoint of it",
                           in_quotes(factor.name)));
    }
}

/// Rounded up, and never infinite: an infinite value shows in the sums by itself.
float bound_norm(double sum_of_squares) {
    const double norm = std::sqrt(sum_of_squares) * (1.0 + 0x1p-20);
    return norm < static_cast<double>(std::numeric_limits<float>::max())
               ? static_cast<float>(norm)
               : std::numeric_limits<float>::max();
}

}  // namespace

MergeFactors::MergeFactors(const checkpoint::MatchedModule& module, MergeRounding rounding)
    : module_(module),
      rounding_(rounding),
      rank_(module.module->rank()),
      columns_(module.weight->columns()),
      scale_(module.scale) {
    const checkpoint::TensorEntry& a = *module.module->a;
    const checkpoint::TensorEntry& b = *module.module->b;
    is_float_ = holds_floats(a.dtype) && holds_floats(b.dtype) &&
                (rounding == MergeRounding::peft ||
                 (module.module->magnitude == nullptr && module.weight->dtype == DType::bf16));
    if (module.module->is_embedding) {
        right_ = transpose(load_all(b));
        if (is_float_) {
            right_floats_ = to_floats(right_);
            right_ = Matrix();
        }
    } else if (is_float_) {
        right_floats_ = load_floats(a);
    } else {
        right_ = load_all(a);
    }
    const auto is_finite = [](auto value) { return std::isfinite(value); };
    require_finite(module.module->is_embedding ? b : a,
                   std::ranges::all_of(right_floats_, is_finite) &&
                       std::ranges::all_of(std::as_const(right_).values(), is_finite));
    if (is_float_) {
        std::vector<double> squares(columns_);
        for (std::size_t k = 0; k < rank_; ++k) {
            for (std::size_t j = 0; j < columns_; ++j) {
                const double value = right_floats_[k * columns_ + j];
                squares[j] += value * value;
            }
        }
        for (const double square : squares) {
            column_norms_.push_back(bound_norm(square));
        }
    }
}

Matrix MergeFactors::load_left(checkpoint::RowRange rows) const {
    if (!module_.module->is_embedding) {
        Matrix left = load_rows(*module_.module->b, rows);
        require_finite(*module_.module->b, linalg::is_finite(left.view()));
        return left;
    }
    // Columns of A: the values of these tokens, rank by rank.
    const checkpoint::TensorEntry& a = *module_.module->a;
    const std::uint64_t size = element_bytes(a.dtype);
    Matrix left(rows.size(), rank_);
    std::vector<std::byte> bytes(rows.size() * size);
    std::vector<double> values(rows.size());
    for (std::size_t k = 0; k < rank_; ++k) {
        a.read_at((k * a.columns() + rows.begin) * size, bytes);
        widen(a.dtype, bytes, values);
        for (std::size_t i = 0; i < values.size(); ++i) {
            left(i, k) = values[i];
        }
    }
    require_finite(a, linalg::is_finite(left.view()));
    return left;
}

void MergeFactors::add(MatrixView<const double> left, MatrixView<double> values) const {
    if (!is_float_) {
        linalg::multiply(scale_, left, right_, 1.0, values);
        return;
    }
    std::vector<float> sums(left.rows() * columns_);
    linalg::multiply_floats(1.0F, to_floats(left), right_floats_, rank_, sums);
    for (std::size_t i = 0; i < values.rows(); ++i) {
        for (std::size_t j = 0; j < columns_; ++j) {
            const float delta = sums[i * columns_ + j] * static_cast<float>(scale_);
            values(i, j) = static_cast<double>(static_cast<float>(values(i, j)) + delta);
        }
    }
}

double MergeFactors::sum_exactly(std::span<const double> left,
                                 std::size_t column,
                                 double base) const {
    double sum = 0.0;
    for (std::size_t k = 0; k < rank_; ++k) {
        sum += left[k] * static_cast<double>(right_floats_[k * columns_ + column]);
    }
    return base + scale_ * sum;
}

void MergeFactors::merge(MatrixView<const double> left,
                         DType dtype,
                         std::span<std::byte> rows,
                         MergeScratch& scratch) const {
    if (rounding_ == MergeRounding::peft && is_float_) {
        merge_as_peft(left, dtype, rows, scratch);
    } else if (is_float_ && dtype == DType::bf16) {
        merge_bf16(left, rows, scratch);
    } else {
        merge_as_doubles(left, dtype, rows);
    }
}

void MergeFactors::merge_as_doubles(MatrixView<const double> left,
                                    DType dtype,
                                    std::span<std::byte> rows) const {
    Matrix values(left.rows(), columns_);
    widen(dtype, rows, values.values());
    add(left, values);
    narrow(dtype, values.values(), rows);
}

void MergeFactors::merge_bf16(MatrixView<const double> left,
                              std::span<std::byte> rows,
                              MergeScratch& scratch) const {
    std::vector<float>& sums = scratch.sums;
    sums.resize(left.rows() * columns_);
    linalg::multiply_floats(
        static_cast<float>(scale_), to_floats(left), right_floats_, rank_, sums);
    // rank products and sums, the scale, the rounded left factor, the last sum and the interval
    // itself round once each, by 2^-24 of at most |w| + |left| |right|.
    const auto error = static_cast<float>((static_cast<double>(rank_) + 8.0) * 0x1p-24);
    std::vector<std::uint16_t>& row = scratch.row;
    std::vector<std::uint16_t>& is_open = scratch.is_open;
    row.resize(columns_);
    is_open.resize(columns_);
    for (std::size_t i = 0; i < left.rows(); ++i) {
        const auto bytes = rows.subspan(i * columns_ * 2, columns_ * 2);
        std::memcpy(row.data(), bytes.data(), bytes.size());
        double squares = 0.0;
        for (const double value : left.row(i)) {
            squares += value * value;
        }
        const float reach = bound_norm(squares * scale_ * scale_);
        if (add_to_bf16(sums.data() + i * columns_,
                        column_norms_.data(),
                        reach,
                        error,
                        row.data(),
                        is_open.data(),
                        columns_)) {
            for (std::size_t j = 0; j < columns_; ++j) {
                if (is_open[j] != 0) [[unlikely]] {
                    row[j] = bf16_from_f64(
                        sum_exactly(left.row(i), j, static_cast<double>(f32_from_bf16(row[j]))));
                }
            }
        }
        std::memcpy(bytes.data(), row.data(), bytes.size());
    }
}

void MergeFactors::merge_as_peft(MatrixView<const double> left,
                                 DType dtype,
                                 std::span<std::byte> rows,
                                 MergeScratch& scratch) const {
    std::vector<float>& sums = scratch.sums;
    sums.resize(left.rows() * columns_);
    linalg::multiply_floats(1.0F, to_floats(left), right_floats_, rank_, sums);
    const auto scale = static_cast<float>(scale_);
    std::vector<double> values(sums.size());
    widen(dtype, rows, values);
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const float delta = sums[i] * scale;
        // A float64 base takes a float32 difference; every other base is widened to float32.
        values[i] = dtype == DType::f64
                        ? values[i] + static_cast<double>(delta)
                        : static_cast<double>(static_cast<float>(values[i]) + delta);
    }
    narrow(dtype, values, rows);
}

void apply_magnitudes(std::span<const double> magnitudes,
                      MergeRounding rounding,
                      MatrixView<double> rows) {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        double squares = 0.0;
        for (double& value : rows.row(i)) {
            if (rounding == MergeRounding::peft) {
                value = static_cast<double>(static_cast<float>(value));
            }
            squares += value * value;
        }
        double factor = magnitudes[i] / std::sqrt(squares);
        if (rounding == MergeRounding::peft) {
            factor = static_cast<double>(static_cast<float>(magnitudes[i]) /
                                         static_cast<float>(std::sqrt(squares)));
        }
        for (double& value : rows.row(i)) {
            value *= factor;
            if (rounding == MergeRounding::peft) {
                value = static_cast<double>(static_cast<float>(value));
            }
        }
    }
}

}  // namespace anamnesis::restore
