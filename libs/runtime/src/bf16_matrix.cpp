// SPDX-License-Identifier: Apache-2.0
//
// A matrix is read in panels of 64 outputs, transposed by pairs of inputs, which stay in the second
// cache while strips of six rows go past them. Source of the scheme: Goto and van de Geijn 2008,
// "Anatomy of High-Performance Matrix Multiplication".

#include "bf16_matrix.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "bf16_products.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using namespace lanes_16;

/// Values that one vector holds.
constexpr std::size_t step = 2 * width;

/// Inputs summed before the sums are written: strips of x as long stay in the first cache.
constexpr std::size_t most_inputs = 1536;

/// Rows whose sums stay in the second cache from one block of inputs to the next.
constexpr std::size_t block_rows = swiglu_rows;
static_assert(block_rows % strip == 0);

std::size_t inputs_at_once(std::size_t inputs) {
    const std::size_t blocks = (inputs + most_inputs - 1) / most_inputs;
    return ((inputs + blocks - 1) / blocks + step - 1) / step * step;
}

template <std::size_t... Lane>
ANAMNESIS_INLINE void interleave(
    Words a, Words b, Words& low, Words& high, std::index_sequence<Lane...> /*lane*/) {
    low = __builtin_shufflevector(a, b, (Lane / 2 + Lane % 2 * width)...);
    high = __builtin_shufflevector(a, b, (Lane / 2 + Lane % 2 * width + width / 2)...);
}

/// Word j of row i becomes word i of row j: four times the halves of the rows are interleaved.
ANAMNESIS_INLINE void transpose(Words (&rows)[width]) {
#pragma GCC unroll 4
    for (int round = 0; round < 4; ++round) {
        Words next[width];
#pragma GCC unroll 8
        for (std::size_t i = 0; i < width / 2; ++i) {
            interleave(rows[i],
                       rows[i + width / 2],
                       next[2 * i],
                       next[2 * i + 1],
                       std::make_index_sequence<width>());
        }
#pragma GCC unroll 16
        for (std::size_t i = 0; i < width; ++i) {
            rows[i] = next[i];
        }
    }
}

/// Outputs that follow `first`, at most a panel of them.
std::size_t outputs_from(std::size_t first, std::size_t outputs) {
    return std::min(panel_outputs, outputs - first);
}

/// Packs `values` <= `step` inputs of 16 rows, of which `count` are there; the others are 0.
template <bool IsWhole>
ANAMNESIS_INLINE void pack_square(
    const Bf16* rows, std::size_t inputs, std::size_t count, std::size_t values, Bf16* panel) {
    Words words[width];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < width; ++i) {
        if (IsWhole) {
            words[i] = pairs_at(rows + i * inputs);
        } else {
            words[i] = Words{};
            if (i < count) {
                std::memcpy(&words[i], rows + i * inputs, values * sizeof(Bf16));
            }
        }
    }
    transpose(words);
#pragma GCC unroll 16
    for (std::size_t pair = 0; pair < width; ++pair) {
        if (IsWhole || pair < values / 2) {
            std::memcpy(panel + pair * panel_outputs * 2, &words[pair], sizeof words[pair]);
        }
    }
}

/// Packs rows of a matrix to [pairs of inputs][panel_outputs][2]; those that are missing are 0.
ANAMNESIS_INLINE void pack_rows(const Bf16* rows,
                                std::size_t count,
                                std::size_t inputs,
                                Bf16* panel) {
    for (std::size_t first = 0; first < panel_outputs; first += width) {
        const std::size_t present = std::min(width, count - std::min(first, count));
        const Bf16* source = rows + first * inputs;
        Bf16* target = panel + 2 * first;
        std::size_t j = 0;
        for (; present == width && j + step <= inputs; j += step) {
            pack_square<true>(source + j, inputs, width, step, target + j * panel_outputs);
        }
        for (; j < inputs; j += step) {
            pack_square<false>(source + j,
                               inputs,
                               present,
                               std::min(step, inputs - j),
                               target + j * panel_outputs);
        }
    }
}

/// A strip of rows times a panel. Where the outputs do not fill whole vectors, the sums are made
/// beside the result.
ANAMNESIS_INLINE void multiply_strip(const Factor& x,
                                     std::size_t rows,
                                     const Factor& panel,
                                     std::size_t pairs,
                                     const Sums& y,
                                     std::size_t outputs) {
    if (outputs % width == 0) {
        add_product(x, panel, rows, outputs, pairs, y);
        return;
    }
    alignas(sizeof(Floats)) std::array<float, strip * panel_outputs> sums;
    for (std::size_t r = 0; r < rows && !y.is_new; ++r) {
        std::memcpy(&sums[r * panel_outputs], y.data + r * y.row, outputs * sizeof(float));
    }
    add_product(x,
                panel,
                rows,
                padded(outputs),
                pairs,
                {.data = sums.data(), .row = panel_outputs, .is_new = y.is_new});
    for (std::size_t r = 0; r < rows; ++r) {
        std::memcpy(y.data + r * y.row, &sums[r * panel_outputs], outputs * sizeof(float));
    }
}

/// Where the sums of a panel go.
struct PanelTarget {
    const Bf16* panel = nullptr;
    float* y = nullptr;
    std::size_t outputs = 0;
};

/// Sums of the rows [begin, end) of x times several panels; `target(i)` is the i-th, whose rows are
/// `y_row` floats apart and begin with row `begin`.
template <class Target>
ANAMNESIS_INLINE void multiply_rows(const MatrixProduct& p,
                                    std::size_t begin,
                                    std::size_t end,
                                    std::size_t panels,
                                    std::size_t y_row,
                                    const Target& target) {
    const std::size_t at_once = inputs_at_once(p.inputs);
    for (std::size_t k = 0; k < p.inputs; k += at_once) {
        const std::size_t pairs = std::min(at_once, p.inputs - k) / 2;
        for (std::size_t r = begin; r < end; r += strip) {
            for (std::size_t i = 0; i < panels; ++i) {
                const PanelTarget to = target(i);
                multiply_strip({.data = p.x + r * p.inputs + k, .row = p.inputs, .pair = 2},
                               std::min(strip, end - r),
                               {.data = to.panel + panel_size(k), .pair = 2 * panel_outputs},
                               pairs,
                               {.data = to.y + (r - begin) * y_row, .row = y_row, .is_new = k == 0},
                               to.outputs);
            }
        }
    }
}

/// y = silu(gate) up of `outputs` sums.
ANAMNESIS_INLINE void write_swiglu(const float* gate,
                                   const float* up,
                                   std::size_t outputs,
                                   Bf16* y) {
    std::size_t o = 0;
    for (; o + width <= outputs; o += width) {
        store(y + o, silu(load(gate + o)) * load(up + o));
    }
    for (; o < outputs; ++o) {
        y[o] = rounded(silu(gate[o]) * up[o]);
    }
}

}  // namespace

ANAMNESIS_TARGET
void multiply(const MatrixProduct& product,
              const Bf16* weight,
              float* y,
              const ProductPiece& piece,
              Bf16* packed) {
    const std::size_t panels = piece.last_panel - piece.first_panel;
    const std::size_t size = panel_size(product.inputs);
    const std::size_t begin = piece.first_panel * panel_outputs;
    for (std::size_t i = 0; i < panels; ++i) {
        const std::size_t first = begin + i * panel_outputs;
        pack_rows(weight + first * product.inputs,
                  outputs_from(first, product.outputs),
                  product.inputs,
                  packed + i * size);
    }
    for (std::size_t r = piece.first_row; r < piece.last_row; r += block_rows) {
        multiply_rows(product,
                      r,
                      std::min(r + block_rows, piece.last_row),
                      panels,
                      product.outputs,
                      [&](std::size_t i) {
                          const std::size_t first = begin + i * panel_outputs;
                          return PanelTarget{.panel = packed + i * size,
                                             .y = y + r * product.outputs + first,
                                             .outputs = outputs_from(first, product.outputs)};
                      });
    }
}

ANAMNESIS_TARGET
void multiply_swiglu(const MatrixProduct& product,
                     const Bf16* gate,
                     const Bf16* up,
                     Bf16* y,
                     const ProductPiece& piece,
                     Bf16* packed,
                     float* sums) {
    constexpr std::size_t sums_row = 2 * panel_outputs;
    const std::size_t size = panel_size(product.inputs);
    for (std::size_t panel = piece.first_panel; panel < piece.last_panel; ++panel) {
        const std::size_t first = panel * panel_outputs;
        const std::size_t outputs = outputs_from(first, product.outputs);
        pack_rows(gate + first * product.inputs, outputs, product.inputs, packed);
        pack_rows(up + first * product.inputs, outputs, product.inputs, packed + size);
        for (std::size_t begin = piece.first_row; begin < piece.last_row; begin += block_rows) {
            const std::size_t end = std::min(begin + block_rows, piece.last_row);
            multiply_rows(product, begin, end, 2, sums_row, [&](std::size_t i) {
                return PanelTarget{.panel = packed + i * size,
                                   .y = sums + i * panel_outputs,
                                   .outputs = panel_outputs};
            });
            for (std::size_t r = begin; r < end; ++r) {
                const float* row = sums + (r - begin) * sums_row;
                write_swiglu(row, row + panel_outputs, outputs, y + r * product.outputs + first);
            }
        }
    }
}

}  // namespace anamnesis::runtime::cpu
