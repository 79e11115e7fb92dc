// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/product.hpp"

#include <cstddef>
#include <limits>
#include <span>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

#include "blas.hpp"

// Weak: with another BLAS the symbol is null and the call does nothing.
extern "C" __attribute__((weak)) void openblas_set_num_threads(int threads);
// Null in a program without OpenMP, or without MKL.
extern "C" __attribute__((weak)) int omp_get_max_threads();
extern "C" __attribute__((weak)) void omp_set_num_threads(int threads);
// NOLINTNEXTLINE(readability-identifier-naming): MKL's.
extern "C" __attribute__((weak)) int MKL_Set_Num_Threads_Local(int threads);

namespace anamnesis::linalg {
namespace {

void check_shapes(const Operand& a, const Operand& b, MatrixView<double> c) {
    ANAMNESIS_CHECK(a.columns() == b.rows(), "inner sizes of a product differ");
    ANAMNESIS_CHECK(a.rows() == c.rows() && b.columns() == c.columns(),
                    "the result of a product has another shape");
}

double element(const Operand& operand, std::size_t i, std::size_t j) {
    return operand.is_transposed ? operand.matrix(j, i) : operand.matrix(i, j);
}

}  // namespace

int blas_size(std::size_t size) {
    constexpr auto limit = static_cast<std::size_t>(std::numeric_limits<int>::max());
    if (size > limit) {
        throw Error(ErrorKind::unsupported,
                    format("matrix dimension above what BLAS takes: {}, at most {}", size, limit));
    }
    return static_cast<int>(size);
}

void multiply(double alpha, const Operand& a, const Operand& b, double beta, MatrixView<double> c) {
    check_shapes(a, b, c);
    if (c.rows() == 0 || c.columns() == 0) {
        return;
    }
    // Row-major c is c^T to Fortran, and c^T = b^T a^T: the operands change places, and each is
    // already the transpose that is needed.
    const int m = blas_size(c.columns());
    const int n = blas_size(c.rows());
    const int k = blas_size(a.columns());
    const int lda = leading_dimension(a.matrix.stride());
    const int ldb = leading_dimension(b.matrix.stride());
    const int ldc = leading_dimension(c.stride());
    const char* op_a = a.is_transposed ? "T" : "N";
    const char* op_b = b.is_transposed ? "T" : "N";
    dgemm_(op_b,
           op_a,
           &m,
           &n,
           &k,
           &alpha,
           b.matrix.data(),
           &ldb,
           a.matrix.data(),
           &lda,
           &beta,
           c.data(),
           &ldc);
}

void multiply_floats(float alpha,
                     std::span<const float> a,
                     std::span<const float> b,
                     std::size_t k,
                     std::span<float> c) {
    ANAMNESIS_CHECK(k > 0 && a.size() % k == 0 && b.size() % k == 0 &&
                        c.size() == (a.size() / k) * (b.size() / k),
                    "a product of float32 matrices of other shapes");
    if (c.empty()) {
        return;
    }
    const int m = blas_size(b.size() / k);
    const int n = blas_size(a.size() / k);
    const int inner = blas_size(k);
    const float beta = 0.0F;
    sgemm_("N", "N", &m, &n, &inner, &alpha, b.data(), &m, a.data(), &inner, &beta, c.data(), &m);
}

Matrix product(const Operand& a, const Operand& b) {
    Matrix result(a.rows(), b.columns());
    multiply(1.0, a, b, 0.0, result);
    return result;
}

Matrix gram(MatrixView<const double> a) {
    Matrix result(a.rows(), a.rows());
    if (a.rows() == 0) {
        return result;
    }
    const int n = blas_size(a.rows());
    const int k = blas_size(a.columns());
    const int lda = leading_dimension(a.stride());
    const double one = 1.0;
    const double zero = 0.0;
    // The lower triangle of Fortran is our upper one.
    dsyrk_("L", "T", &n, &k, &one, a.data(), &lda, &zero, result.values().data(), &n);
    for (std::size_t i = 0; i < a.rows(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            result(i, j) = result(j, i);
        }
    }
    return result;
}

void set_blas_threads(unsigned threads) noexcept {
    if (openblas_set_num_threads != nullptr) {
        openblas_set_num_threads(threads == 0 ? 1 : static_cast<int>(threads));
    }
}

OwnBlasThreads::OwnBlasThreads(unsigned threads) noexcept {
    const int count = threads == 0 ? 1 : static_cast<int>(threads);
    if (omp_get_max_threads != nullptr && omp_set_num_threads != nullptr) {
        of_openmp_ = omp_get_max_threads();
        omp_set_num_threads(count);
    }
    if (MKL_Set_Num_Threads_Local != nullptr) {
        of_mkl_ = MKL_Set_Num_Threads_Local(count);
    }
}

OwnBlasThreads::~OwnBlasThreads() {
    if (of_openmp_ != 0) {
        omp_set_num_threads(of_openmp_);
    }
    if (MKL_Set_Num_Threads_Local != nullptr) {
        MKL_Set_Num_Threads_Local(of_mkl_);
    }
}

void naive_multiply(
    double alpha, const Operand& a, const Operand& b, double beta, MatrixView<double> c) {
    check_shapes(a, b, c);
    for (std::size_t i = 0; i < c.rows(); ++i) {
        for (std::size_t j = 0; j < c.columns(); ++j) {
            double sum = 0.0;
            for (std::size_t p = 0; p < a.columns(); ++p) {
                sum += element(a, i, p) * element(b, p, j);
            }
            c(i, j) = alpha * sum + (beta == 0.0 ? 0.0 : beta * c(i, j));
        }
    }
}

Matrix naive_gram(MatrixView<const double> a) {
    Matrix result(a.rows(), a.rows());
    naive_multiply(1.0, a, transposed(a), 0.0, result);
    return result;
}

}  // namespace anamnesis::linalg
