// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime::cpu {

/// Columns of a panel: sixteen strips of six rows on the left of a product, six vectors on its
/// right; two panels of a thousand rows and the products of their columns fit a core's second
/// cache.
inline constexpr std::size_t panel_columns = 96;

/// Columns [first, first + panel_columns) of `count` rows, zeros beyond the last, rows in pairs.
/// Shapes: rows [count, columns], panel [(count + 1) / 2, panel_columns, 2].
void pack_panel(
    const Bf16* rows, std::size_t count, std::size_t columns, std::size_t first, Bf16* panel);

/// The part of a moment that two panels meet in.
struct MomentBlock {
    double* sum = nullptr;  ///< of the first columns of both
    std::size_t stride = 0;
    std::size_t rows = 0;     ///< columns of the left panel that there are
    std::size_t columns = 0;  ///< of the right one
};

/// sum[i, j] += sum over rows t of left[t, i] right[t, j], in float32 over these rows.
/// Only where has_bf16_products(). Scratch: products [panel_columns, panel_columns].
void add_panels(const Bf16* left,
                const Bf16* right,
                std::size_t pairs,
                const MomentBlock& block,
                float* products);

}  // namespace anamnesis::runtime::cpu
