// SPDX-License-Identifier: Apache-2.0
#include "bf16_moments.hpp"

#include <algorithm>
#include <cstddef>

#include "bf16_products.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using namespace lanes_16;

static_assert(panel_columns % strip == 0 && panel_columns % (2 * width) == 0);

}  // namespace

ANAMNESIS_TARGET
void pack_panel(
    const Bf16* rows, std::size_t count, std::size_t columns, std::size_t first, Bf16* panel) {
    const std::size_t present = std::min(panel_columns, columns - first);
    for (std::size_t t = 0; t < count; t += 2) {
        const Bf16* row = rows + t * columns + first;
        Bf16* pairs = panel + t * panel_columns;
        for (std::size_t i = 0; i < present; ++i) {
            pairs[2 * i] = row[i];
            pairs[2 * i + 1] = t + 1 < count ? row[columns + i] : Bf16{0};
        }
        std::fill(pairs + 2 * present, pairs + 2 * panel_columns, Bf16{0});
    }
}

ANAMNESIS_TARGET
void add_panels(const Bf16* left,
                const Bf16* right,
                std::size_t pairs,
                const MomentBlock& block,
                float* products) {
    constexpr std::size_t pair_row = 2 * panel_columns;
    std::fill(products, products + panel_columns * panel_columns, 0.0F);
    add_product({.data = left, .row = 2, .pair = pair_row},
                {.data = right, .pair = pair_row},
                panel_columns,
                panel_columns,
                pairs,
                {.data = products, .row = panel_columns});
    for (std::size_t i = 0; i < block.rows; ++i) {
        double* sum = block.sum + i * block.stride;
        const float* row = products + i * panel_columns;
        for (std::size_t j = 0; j < block.columns; ++j) {
            sum[j] += static_cast<double>(row[j]);
        }
    }
}

}  // namespace anamnesis::runtime::cpu
