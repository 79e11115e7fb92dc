// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/merge.hpp"

namespace anamnesis::restore {

/// Memory that one thread uses again and again.
struct MergeScratch {
    std::vector<float> sums{};
    std::vector<std::uint16_t> row{};
    std::vector<std::uint16_t> is_open{};
};

/// The factors of one module: rows of the base are W0 + scale * left * right.
/// Memory: `right`, [rank, columns], is held; rows of the left factor are read as they are asked.
class MergeFactors {
public:
    MergeFactors(const checkpoint::MatchedModule& module, MergeRounding rounding);

    std::size_t rank() const noexcept { return rank_; }
    std::size_t columns() const noexcept { return columns_; }
    double scale() const noexcept { return scale_; }

    /// Rows of the left factor, [rows, rank].
    linalg::Matrix load_left(checkpoint::RowRange rows) const;

    /// Adds scale * left * right to `values`, [rows, columns]: in float64, or as PEFT does. For
    /// modules of DoRA.
    void add(linalg::MatrixView<const double> left, linalg::MatrixView<double> values) const;

    /// The bytes of merged rows in `dtype`, as the rounding asks. `rows` come in as the base's.
    /// Not for DoRA, which needs the norms of whole rows.
    void merge(linalg::MatrixView<const double> left,
               DType dtype,
               std::span<std::byte> rows,
               MergeScratch& scratch) const;

private:
    void merge_as_doubles(linalg::MatrixView<const double> left,
                          DType dtype,
                          std::span<std::byte> rows) const;
    void merge_bf16(linalg::MatrixView<const double> left,
                    std::span<std::byte> rows,
                    MergeScratch& scratch) const;
    void merge_as_peft(linalg::MatrixView<const double> left,
                       DType dtype,
                       std::span<std::byte> rows,
                       MergeScratch& scratch) const;
    double sum_exactly(std::span<const double> left, std::size_t column, double base) const;

    const checkpoint::MatchedModule& module_;
    MergeRounding rounding_;
    std::size_t rank_ = 0;
    std::size_t columns_ = 0;
    double scale_ = 1.0;
    bool is_float_ = false;            ///< float32 holds the right factor exactly
    std::vector<float> right_floats_;  ///< where it does
    linalg::Matrix right_;             ///< where it does not
    std::vector<float> column_norms_;  ///< of the right factor, for the bound of rounding
};

/// The rows of a DoRA module: each of W0 + scale B A, given its magnitude.
/// Source: Liu et al. 2024, arXiv 2402.09353; peft 0.21, DoraLinearVariant.merge.
void apply_magnitudes(std::span<const double> magnitudes,
                      MergeRounding rounding,
                      linalg::MatrixView<double> rows);

}  // namespace anamnesis::restore
