// SPDX-License-Identifier: Apache-2.0
//
// Products of matrices that fit a core's cache, on one thread. Included once for each width, as
// cpu_vectors.hpp is.

#if !defined(ANAMNESIS_CPU_SMALL_PRODUCTS)
#define ANAMNESIS_CPU_SMALL_PRODUCTS

#include <cstddef>

#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {

/// A matrix whose rows and columns lie any distance apart.
struct Strided {
    const float* data = nullptr;
    std::size_t row = 0;
    std::size_t column = 0;
};

/// Rows [0, Rows) and columns [0, Vectors * width) of c = keep * c + a b.
template <std::size_t Rows, std::size_t Vectors>
ANAMNESIS_INLINE void multiply_tile(
    Strided a, const float* b, float* c, std::size_t depth, std::size_t columns, float keep) {
    Floats sums[Rows][Vectors] = {};
    for (std::size_t p = 0; p < depth; ++p) {
        Floats right[Vectors];
        for (std::size_t v = 0; v < Vectors; ++v) {
            right[v] = load(b + p * columns + v * width);
        }
        for (std::size_t r = 0; r < Rows; ++r) {
            const float left = a.data[r * a.row + p * a.column];
            for (std::size_t v = 0; v < Vectors; ++v) {
                sums[r][v] += left * right[v];
            }
        }
    }
    for (std::size_t r = 0; r < Rows; ++r) {
        for (std::size_t v = 0; v < Vectors; ++v) {
            float* target = c + r * columns + v * width;
            store(target, keep == 0.0F ? sums[r][v] : sums[r][v] + keep * load(target));
        }
    }
}

/// c = keep * c + a b. Shapes: a [rows, depth], b [depth, columns], c [rows, columns]; four rows
/// make a whole number of tiles.
ANAMNESIS_INLINE void multiply(Strided a,
                               const float* b,
                               float* c,
                               std::size_t rows,
                               std::size_t depth,
                               std::size_t columns,
                               float keep) {
    std::size_t j = 0;
    for (; j + 2 * width <= columns; j += 2 * width) {
        for (std::size_t i = 0; i < rows; i += 4) {
            multiply_tile<4, 2>({a.data + i * a.row, a.row, a.column},
                                b + j,
                                c + i * columns + j,
                                depth,
                                columns,
                                keep);
        }
    }
    for (; j + width <= columns; j += width) {
        for (std::size_t i = 0; i < rows; i += 4) {
            multiply_tile<4, 1>({a.data + i * a.row, a.row, a.column},
                                b + j,
                                c + i * columns + j,
                                depth,
                                columns,
                                keep);
        }
    }
    for (; j < columns; ++j) {
        for (std::size_t i = 0; i < rows; ++i) {
            float sum = 0.0F;
            for (std::size_t p = 0; p < depth; ++p) {
                sum += a.data[i * a.row + p * a.column] * b[p * columns + j];
            }
            float& target = c[i * columns + j];
            target = keep == 0.0F ? sum : sum + keep * target;
        }
    }
}

}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#endif
