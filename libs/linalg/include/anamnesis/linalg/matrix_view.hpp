// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

#include "anamnesis/base/check.hpp"

namespace anamnesis::linalg {

/// Rows of float64 in somebody else's memory: element (i, j) lies at `data[i * stride + j]`.
///
/// Shapes: [rows, columns], stride >= columns.
/// Owner:  the caller, for as long as the view is used. Passed by value.
template <class Value>
    requires std::same_as<std::remove_const_t<Value>, double>
class MatrixView {
public:
    MatrixView() = default;
    MatrixView(Value* data, std::size_t rows, std::size_t columns, std::size_t stride)
        : data_(data), rows_(rows), columns_(columns), stride_(stride) {
        ANAMNESIS_CHECK(stride >= columns, "rows of a matrix view overlap");
    }
    MatrixView(Value* data, std::size_t rows, std::size_t columns)
        : MatrixView(data, rows, columns, columns) {}
    template <std::same_as<double> Other>
        requires std::is_const_v<Value>
    // NOLINTNEXTLINE(google-explicit-constructor): reading is always allowed.
    MatrixView(const MatrixView<Other>& other)
        : MatrixView(other.data(), other.rows(), other.columns(), other.stride()) {}

    Value* data() const noexcept { return data_; }
    std::size_t rows() const noexcept { return rows_; }
    std::size_t columns() const noexcept { return columns_; }
    std::size_t stride() const noexcept { return stride_; }

    /// Not checked: the inner loops are made of it.
    Value& operator()(std::size_t i, std::size_t j) const noexcept {
        return data_[i * stride_ + j];
    }
    std::span<Value> row(std::size_t i) const noexcept { return {data_ + i * stride_, columns_}; }

    /// Errors: `internal` where the block does not lie inside.
    MatrixView row_block(std::size_t first, std::size_t count) const {
        ANAMNESIS_CHECK(first <= rows_ && count <= rows_ - first, "row block outside its matrix");
        return {data_ + first * stride_, count, columns_, stride_};
    }
    /// Every `step`-th row, from the first. Errors: `internal` for a step of 0.
    MatrixView every_row(std::size_t step) const {
        ANAMNESIS_CHECK(step > 0, "rows of a matrix with no step between them");
        return {data_, (rows_ + step - 1) / step, columns_, step * stride_};
    }
    MatrixView column_block(std::size_t first, std::size_t count) const {
        ANAMNESIS_CHECK(first <= columns_ && count <= columns_ - first,
                        "column block outside its matrix");
        return {data_ + first, rows_, count, stride_};
    }

private:
    Value* data_ = nullptr;
    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
    std::size_t stride_ = 0;
};

/// A float64 matrix in memory of its own, row after row, zero when made.
class Matrix {
public:
    Matrix() = default;
    Matrix(std::size_t rows, std::size_t columns)
        : values_(rows * columns), rows_(rows), columns_(columns) {}

    static Matrix identity(std::size_t size);
    static Matrix from_view(MatrixView<const double> view);

    std::size_t rows() const noexcept { return rows_; }
    std::size_t columns() const noexcept { return columns_; }
    double& operator()(std::size_t i, std::size_t j) noexcept { return values_[i * columns_ + j]; }
    double operator()(std::size_t i, std::size_t j) const noexcept {
        return values_[i * columns_ + j];
    }
    std::span<double> values() & noexcept { return values_; }
    std::span<const double> values() const& noexcept { return values_; }
    std::span<const double> values() const&& = delete;

    MatrixView<double> view() & { return {values_.data(), rows_, columns_}; }
    MatrixView<const double> view() const& { return {values_.data(), rows_, columns_}; }
    MatrixView<const double> view() const&& = delete;

    // NOLINTBEGIN(google-explicit-constructor): a matrix is its own view.
    operator MatrixView<double>() & { return view(); }
    operator MatrixView<const double>() const& { return view(); }
    operator MatrixView<const double>() const&& = delete;
    // NOLINTEND(google-explicit-constructor)

private:
    std::vector<double> values_;
    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
};

/// Copies values between matrices of one shape; the two may be the same, but may not overlap
/// otherwise. Errors: `internal` where the shapes differ.
void copy(MatrixView<const double> source, MatrixView<double> target);

}  // namespace anamnesis::linalg
