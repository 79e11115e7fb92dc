// SPDX-License-Identifier: Apache-2.0
#include "slopes.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace anamnesis::runtime {

std::vector<double> make_plain_slopes(std::uint32_t heads) {
    std::vector<double> values;
    for (std::uint32_t h = 1; h <= heads; ++h) {
        values.push_back(std::exp2(-8.0 * h / heads));
    }
    return values;
}

std::vector<double> make_alibi_slopes(std::uint32_t heads) {
    const std::uint32_t lower = std::bit_floor(heads);
    std::vector<double> values = make_plain_slopes(lower);
    const std::vector<double> more = make_plain_slopes(2 * lower);
    for (std::uint32_t i = 0; values.size() < heads; i += 2) {
        values.push_back(more[i]);
    }
    return values;
}

}  // namespace anamnesis::runtime
