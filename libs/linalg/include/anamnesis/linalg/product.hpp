// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

/// A matrix as it enters a product: as it stands, or transposed.
struct Operand {
    // NOLINTBEGIN(google-explicit-constructor): a matrix stands for itself.
    Operand(MatrixView<const double> view) : matrix(view) {}
    Operand(MatrixView<double> view) : matrix(view) {}
    Operand(const Matrix& owner) : matrix(owner) {}
    Operand(const Matrix&& temporary) = delete;
    // NOLINTEND(google-explicit-constructor)

    std::size_t rows() const { return is_transposed ? matrix.columns() : matrix.rows(); }
    std::size_t columns() const { return is_transposed ? matrix.rows() : matrix.columns(); }

    MatrixView<const double> matrix;
    bool is_transposed = false;
};

inline Operand transposed(Operand operand) {
    operand.is_transposed = !operand.is_transposed;
    return operand;
}

/// c = alpha a b + beta c. With beta = 0 the old values of `c` are not read, whatever they are.
///
/// Shapes: a [m, k], b [k, n], c [m, n]; `c` overlaps neither.
/// Errors: `internal` where the shapes do not fit; `unsupported` above 2^31 - 1 in a dimension.
/// Cost:   2 m n k operations in BLAS, no copy.
void multiply(double alpha, const Operand& a, const Operand& b, double beta, MatrixView<double> c);

/// c = alpha a b in float32, accumulated in float32.
///
/// Shapes: a [m, k], b [k, n], c [m, n], each row after row without gaps.
/// Errors: as `multiply`.
void multiply_floats(float alpha,
                     std::span<const float> a,
                     std::span<const float> b,
                     std::size_t k,
                     std::span<float> c);

/// a b in a new matrix.
Matrix product(const Operand& a, const Operand& b);

/// The Gram matrix a a^T, exactly symmetric.
///
/// Shapes: a [m, k] -> [m, m].   Cost: m^2 k operations in BLAS.
Matrix gram(MatrixView<const double> a);

/// Threads that BLAS itself may use, where it can be told (OpenBLAS). A caller that divides its
/// work by `parallel_for` sets 1. Threads: holds for the whole process; call it before the work.
void set_blas_threads(unsigned threads) noexcept;

/// The same for the work of the calling thread, while this is there, where BLAS is LibTorch's: its
/// threads are those of OpenMP, or of MKL, which LibTorch tells for each thread by itself. Without
/// either it does nothing.
class OwnBlasThreads {
public:
    explicit OwnBlasThreads(unsigned threads) noexcept;
    ~OwnBlasThreads();
    OwnBlasThreads(const OwnBlasThreads&) = delete;
    OwnBlasThreads& operator=(const OwnBlasThreads&) = delete;

private:
    int of_openmp_ = 0;  ///< before
    int of_mkl_ = 0;     ///< before; 0: as OpenMP has it
};

/// The slow twins, kept for the tests: three plain loops.
void naive_multiply(
    double alpha, const Operand& a, const Operand& b, double beta, MatrixView<double> c);
Matrix naive_gram(MatrixView<const double> a);

}  // namespace anamnesis::linalg
