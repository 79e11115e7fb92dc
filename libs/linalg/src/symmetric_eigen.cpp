// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/symmetric_eigen.hpp"

#include <cstddef>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"

#include "blas.hpp"

namespace anamnesis::linalg {

SymmetricEigen symmetric_eigen(MatrixView<const double> m) {
    ANAMNESIS_CHECK(m.rows() == m.columns(), "eigenvalues of a matrix that is not square");
    // LAPACK may loop for ever on a NaN.
    if (!is_finite(m)) {
        throw Error(ErrorKind::unsupported, "eigenvalues of a matrix with NaN or infinity");
    }
    SymmetricEigen result{std::vector<double>(m.rows()), Matrix::from_view(m)};
    if (m.rows() == 0) {
        return result;
    }
    const int n = blas_size(m.rows());
    const std::size_t size = m.rows();
    const int work_size = blas_size(1 + 6 * size + 2 * size * size);
    const int integer_work_size = blas_size(3 + 5 * size);
    std::vector<double> work(static_cast<std::size_t>(work_size));
    std::vector<int> integer_work(static_cast<std::size_t>(integer_work_size));
    int info = 0;
    // Our upper triangle is the lower one of Fortran, and its columns are our rows.
    dsyevd_("V",
            "L",
            &n,
            result.vectors.values().data(),
            &n,
            result.values.data(),
            work.data(),
            &work_size,
            integer_work.data(),
            &integer_work_size,
            &info);
    ANAMNESIS_CHECK(info >= 0, "dsyevd refused an argument");
    if (info > 0) {
        throw Error(ErrorKind::exhausted,
                    format("eigenvalues of a matrix of size {} did not converge", n));
    }
    return result;
}

}  // namespace anamnesis::linalg
