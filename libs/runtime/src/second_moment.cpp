// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/second_moment.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>

#include "anamnesis/base/check.hpp"

#include "bf16_moments.hpp"
#include "cpu_kernels.hpp"

namespace anamnesis::runtime {

bool has_bf16_products() noexcept {
    return cpu::has_bf16_products();
}

void add_second_moment(const at::Tensor& sum, const at::Tensor& rows) {
    using cpu::panel_columns;
    ANAMNESIS_CHECK(has_bf16_products() && sum.is_contiguous() && rows.is_contiguous() &&
                        rows.scalar_type() == at::kBFloat16 && sum.size(0) == rows.size(1),
                    "a second moment of other rows");
    const auto count = static_cast<std::size_t>(rows.size(0));
    const auto columns = static_cast<std::size_t>(rows.size(1));
    const auto* values = static_cast<const cpu::Bf16*>(rows.const_data_ptr());
    auto* sums = sum.mutable_data_ptr<double>();
    const std::size_t panels = (columns + panel_columns - 1) / panel_columns;
    const std::size_t pairs = (count + 1) / 2;
    const std::size_t panel_size = 2 * pairs * panel_columns;
    std::vector<cpu::Bf16> packed(panels * panel_size);
    at::parallel_for(0, static_cast<std::int64_t>(panels), 1, [&](auto begin, auto end) {
        for (auto p = static_cast<std::size_t>(begin); p < static_cast<std::size_t>(end); ++p) {
            cpu::pack_panel(values, count, columns, p * panel_columns, &packed[p * panel_size]);
        }
    });
    const auto width_of = [&](std::size_t panel) {
        return std::min(panel_columns, columns - panel * panel_columns);
    };
    const auto blocks = static_cast<std::int64_t>(panels * (panels + 1) / 2);
    at::parallel_for(0, blocks, 1, [&](std::int64_t begin, std::int64_t end) {
        std::array<float, panel_columns * panel_columns> products;
        // Blocks count through the rows of a triangle.
        std::size_t i = 0;
        std::size_t before = 0;
        while (before + i + 1 <= static_cast<std::size_t>(begin)) {
            before += ++i;
        }
        std::size_t j = static_cast<std::size_t>(begin) - before;
        for (std::int64_t block = begin; block < end; ++block) {
            cpu::add_panels(&packed[i * panel_size],
                            &packed[j * panel_size],
                            pairs,
                            {.sum = sums + (i * columns + j) * panel_columns,
                             .stride = columns,
                             .rows = width_of(i),
                             .columns = width_of(j)},
                            products.data());
            if (++j > i) {
                ++i;
                j = 0;
            }
        }
    });
}

}  // namespace anamnesis::runtime
