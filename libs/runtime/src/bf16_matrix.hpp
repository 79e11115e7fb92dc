// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime::cpu {

/// Products of many rows in bfloat16, summed in float32. Only where has_bf16_products(); on one
/// thread.

/// Outputs of a matrix that are packed together.
inline constexpr std::size_t panel_outputs = 64;

/// Values of a panel: `inputs` is even.
constexpr std::size_t panel_size(std::size_t inputs) {
    return inputs * panel_outputs;
}

/// A matrix [outputs, inputs] and the rows [rows, inputs] that meet it.
struct MatrixProduct {
    const Bf16* x = nullptr;
    std::size_t rows = 0;
    std::size_t inputs = 0;  ///< even
    std::size_t outputs = 0;
};

/// A part of a product: these rows and these panels.
struct ProductPiece {
    std::size_t first_row = 0;
    std::size_t last_row = 0;
    std::size_t first_panel = 0;
    std::size_t last_panel = 0;
};

/// y[r][o] = x[r] . weight[o]. Each is summed by itself and in one order, whatever is beside it.
/// Shapes: weight [outputs, inputs], y [rows, outputs]; `packed` holds the panels of a piece.
void multiply(const MatrixProduct& product,
              const Bf16* weight,
              float* y,
              const ProductPiece& piece,
              Bf16* packed);

/// Rows of sums that one call of multiply_swiglu holds at once.
inline constexpr std::size_t swiglu_rows = 252;
/// Floats that it needs for them.
inline constexpr std::size_t swiglu_sums = swiglu_rows * 2 * panel_outputs;

/// y[r][o] = silu(x[r] . gate[o]) (x[r] . up[o]), rounded to bfloat16.
/// Shapes: gate, up [outputs, inputs], y [rows, outputs]; `packed` holds two panels, whatever the
/// piece has, `sums` swiglu_sums.
void multiply_swiglu(const MatrixProduct& product,
                     const Bf16* gate,
                     const Bf16* up,
                     Bf16* y,
                     const ProductPiece& piece,
                     Bf16* packed,
                     float* sums);

}  // namespace anamnesis::runtime::cpu
