// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/svd.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"

#include "blas.hpp"

namespace anamnesis::linalg {

SingularValues singular_values(MatrixView<const double> a) {
    if (!is_finite(a)) {
        throw Error(ErrorKind::unsupported, "singular values of a matrix with NaN or infinity");
    }
    const std::size_t rank = std::min(a.rows(), a.columns());
    SingularValues result{
        Matrix(a.rows(), rank), std::vector<double>(rank), Matrix(rank, a.columns())};
    if (rank == 0) {
        return result;
    }
    Matrix scratch = Matrix::from_view(a);
    const int m = blas_size(a.columns());
    const int n = blas_size(a.rows());
    const int k = blas_size(rank);
    std::vector<int> integer_work(8 * rank);
    double best_work_size = 0.0;
    int info = 0;
    const int query = -1;
    // Fortran sees a^T, whose left vectors are our right ones.
    const auto call = [&](double* work, const int* work_size) {
        dgesdd_("S",
                &m,
                &n,
                scratch.values().data(),
                &m,
                result.values.data(),
                result.right.values().data(),
                &m,
                result.left.values().data(),
                &k,
                work,
                work_size,
                integer_work.data(),
                &info);
        ANAMNESIS_CHECK(info >= 0, "dgesdd refused an argument");
    };
    call(&best_work_size, &query);
    const int work_size = blas_size(static_cast<std::size_t>(best_work_size));
    std::vector<double> work(static_cast<std::size_t>(work_size));
    call(work.data(), &work_size);
    if (info > 0) {
        throw Error(ErrorKind::exhausted,
                    format("singular values of a {} x {} matrix did not converge", n, m));
    }
    return result;
}

}  // namespace anamnesis::linalg
