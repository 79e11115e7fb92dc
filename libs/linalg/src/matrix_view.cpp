// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/linalg/matrix_view.hpp"

#include <algorithm>
#include <cstddef>

#include "anamnesis/base/check.hpp"

namespace anamnesis::linalg {

Matrix Matrix::identity(std::size_t size) {
    Matrix result(size, size);
    for (std::size_t i = 0; i < size; ++i) {
        result(i, i) = 1.0;
    }
    return result;
}

Matrix Matrix::from_view(MatrixView<const double> view) {
    Matrix result(view.rows(), view.columns());
    copy(view, result);
    return result;
}

void copy(MatrixView<const double> source, MatrixView<double> target) {
    ANAMNESIS_CHECK(source.rows() == target.rows() && source.columns() == target.columns(),
                    "copy between matrices of different shapes");
    for (std::size_t i = 0; i < source.rows(); ++i) {
        if (source.row(i).data() != target.row(i).data()) {
            std::ranges::copy(source.row(i), target.row(i).begin());
        }
    }
}

}  // namespace anamnesis::linalg
