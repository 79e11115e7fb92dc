// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

// The few Fortran symbols of BLAS and LAPACK that this room uses, with 32-bit integers (LP64).
// Fortran counts by columns: our row-major matrix is its transpose there. The hidden lengths of
// the character arguments are left out, as cblas and numpy do.
// NOLINTBEGIN(readability-identifier-naming): the names are LAPACK's.
extern "C" {
void dgemm_(const char* op_a,
            const char* op_b,
            const int* m,
            const int* n,
            const int* k,
            const double* alpha,
            const double* a,
            const int* lda,
            const double* b,
            const int* ldb,
            const double* beta,
            double* c,
            const int* ldc);
void sgemm_(const char* op_a,
            const char* op_b,
            const int* m,
            const int* n,
            const int* k,
            const float* alpha,
            const float* a,
            const int* lda,
            const float* b,
            const int* ldb,
            const float* beta,
            float* c,
            const int* ldc);
void dsyrk_(const char* triangle,
            const char* op,
            const int* n,
            const int* k,
            const double* alpha,
            const double* a,
            const int* lda,
            const double* beta,
            double* c,
            const int* ldc);
void dsyevd_(const char* job,
             const char* triangle,
             const int* n,
             double* a,
             const int* lda,
             double* values,
             double* work,
             const int* work_size,
             int* integer_work,
             const int* integer_work_size,
             int* info);
void dgesdd_(const char* job,
             const int* m,
             const int* n,
             double* a,
             const int* lda,
             double* values,
             double* u,
             const int* ldu,
             double* vt,
             const int* ldvt,
             double* work,
             const int* work_size,
             int* integer_work,
             int* info);
void dpotrf_(const char* triangle, const int* n, double* a, const int* lda, int* info);
void dpocon_(const char* triangle,
             const int* n,
             const double* a,
             const int* lda,
             const double* norm,
             double* reciprocal,
             double* work,
             int* integer_work,
             int* info);
void dsytrf_(const char* triangle,
             const int* n,
             double* a,
             const int* lda,
             int* pivots,
             double* work,
             const int* work_size,
             int* info);
void dpotrs_(const char* triangle,
             const int* n,
             const int* right_sides,
             const double* a,
             const int* lda,
             double* b,
             const int* ldb,
             int* info);
}
// NOLINTEND(readability-identifier-naming)

namespace anamnesis::linalg {

/// A size as BLAS takes it; leading dimensions of empty matrices must still be one.
/// Errors: `unsupported` above 2^31 - 1.
int blas_size(std::size_t size);
inline int leading_dimension(std::size_t stride) {
    return blas_size(stride == 0 ? 1 : stride);
}

}  // namespace anamnesis::linalg
