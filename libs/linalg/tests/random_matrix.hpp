// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "anamnesis/base/random.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::linalg {

inline Matrix random_matrix(std::size_t rows, std::size_t columns, std::uint64_t seed) {
    Random random(seed);
    Matrix result(rows, columns);
    for (double& value : result.values()) {
        value = random.normal();
    }
    return result;
}

inline double largest_difference(MatrixView<const double> a, MatrixView<const double> b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.rows(); ++i) {
        for (std::size_t j = 0; j < a.columns(); ++j) {
            const double distance = a(i, j) > b(i, j) ? a(i, j) - b(i, j) : b(i, j) - a(i, j);
            largest = distance > largest ? distance : largest;
        }
    }
    return largest;
}

}  // namespace anamnesis::linalg
