// SPDX-License-Identifier: Apache-2.0
//
// Products in which reading a matrix is the work: its rows are read once, as they lie, and meet
// float32 values.

#include <algorithm>
#include <cstddef>

#include "cpu_kernels.hpp"

#define ANAMNESIS_KERNELS "cpu_products.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_streams.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

/// All rows of a matrix times `Vectors` vectors, from several places at once.
template <std::size_t Vectors, class Weight>
ANAMNESIS_INLINE void dots_of_all(const Weight* rows,
                                  std::size_t row_count,
                                  const float* vectors,
                                  std::size_t count,
                                  float* totals,
                                  std::size_t step) {
    const std::size_t apart = row_count / streams;
    for (std::size_t r = 0; r < apart; ++r) {
        dots<streams, Vectors>(rows + r * count, apart, vectors, count, totals + r, step);
    }
    for (std::size_t r = streams * apart; r < row_count; ++r) {
        dots<1, Vectors>(rows + r * count, 1, vectors, count, totals + r, step);
    }
}

/// Vectors that meet rows together: the more, the fewer times a weight is read, as far as their
/// sums fit the registers.
constexpr std::size_t most_vectors = width == 16 ? 4 : 2;

template <class Weight>
ANAMNESIS_INLINE void product_body(const Weight* weight,
                                   const FewRows& p,
                                   std::size_t begin,
                                   std::size_t end) {
    // Rows of the matrix meet all vectors while they are in the cache, except for one vector, which
    // needs no cache.
    const std::size_t strip = p.rows == 1 ? end - begin : 8;
    for (std::size_t o = begin; o < end; o += strip) {
        const std::size_t count = std::min(strip, end - o);
        const Weight* rows = weight + o * p.inputs;
        std::size_t v = 0;
        for (; v + most_vectors <= p.rows; v += most_vectors) {
            dots_of_all<most_vectors>(
                rows, count, p.x + v * p.inputs, p.inputs, p.y + v * p.outputs + o, p.outputs);
        }
        for (; v + 2 <= p.rows; v += 2) {
            dots_of_all<2>(
                rows, count, p.x + v * p.inputs, p.inputs, p.y + v * p.outputs + o, p.outputs);
        }
        if (v < p.rows) {
            dots_of_all<1>(
                rows, count, p.x + v * p.inputs, p.inputs, p.y + v * p.outputs + o, p.outputs);
        }
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

ANAMNESIS_KERNEL(void,
                 product,
                 (const Bf16* weight, const FewRows& product, std::size_t begin, std::size_t end),
                 (weight, product, begin, end))

ANAMNESIS_KERNEL(void,
                 product,
                 (const float* weight, const FewRows& product, std::size_t begin, std::size_t end),
                 (weight, product, begin, end))

}  // namespace anamnesis::runtime::cpu

#endif
