// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/inertia.hpp"

#include <cstddef>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"

#include "blas.hpp"

namespace anamnesis::linalg {

std::size_t count_eigenvalues_above(Matrix m, double bound) {
    ANAMNESIS_CHECK(m.rows() == m.columns(), "eigenvalues of a matrix that is not square");
    if (!is_finite(m.view())) {
        throw Error(ErrorKind::unsupported, "eigenvalues of a matrix with NaN or infinity");
    }
    if (m.rows() == 0) {
        return 0;
    }
    for (std::size_t i = 0; i < m.rows(); ++i) {
        m(i, i) -= bound;
    }
    const int n = blas_size(m.rows());
    const int leading = leading_dimension(m.rows());
    std::vector<int> pivots(m.rows());
    double best_size = 0.0;
    int work_size = -1;
    int info = 0;
    dsytrf_("L", &n, m.values().data(), &leading, pivots.data(), &best_size, &work_size, &info);
    work_size = static_cast<int>(best_size);
    std::vector<double> work(static_cast<std::size_t>(work_size));
    dsytrf_("L", &n, m.values().data(), &leading, pivots.data(), work.data(), &work_size, &info);
    // A zero in D, where info > 0, is an eigenvalue that lies on the bound.
    ANAMNESIS_CHECK(info >= 0, "dsytrf refused an argument");
    std::size_t count = 0;
    for (std::size_t i = 0; i < m.rows();) {
        if (pivots[i] < 0) {
            // Blocks of two are indefinite: one eigenvalue of each sign.
            ++count;
            i += 2;
        } else {
            count += m(i, i) > 0.0 ? 1 : 0;
            ++i;
        }
    }
    return count;
}

}  // namespace anamnesis::linalg
