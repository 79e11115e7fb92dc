// SPDX-License-Identifier: Apache-2.0
#include "fit_memory.hpp"

#include <algorithm>
#include <cstdint>

#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {
namespace {

constexpr std::uint64_t most_bytes = 2'000'000'000;

/// Matrices of the inputs' size: the moments, what is held back, their difference, filter, factor.
constexpr std::uint64_t matrices = 10;

std::uint64_t estimate_bytes(const FitGroup& group) {
    if (group.part == "embedding") {
        return 0;  // rows in turn
    }
    const std::uint64_t inputs = group.rows.front().weight.matrix_columns();
    std::uint64_t experts = 1;
    if (group.part == "experts" || group.part == "experts_down") {
        experts = group.rows.back().head + 1;
    }
    return (matrices + 6 * (experts - 1)) * inputs * inputs * sizeof(double);
}

}  // namespace

unsigned count_fits_side_by_side(const Plan& plan, unsigned threads) {
    std::uint64_t largest = 1;
    for (const FitGroup& group : plan.fits) {
        largest = std::max(largest, estimate_bytes(group));
    }
    return static_cast<unsigned>(
        std::clamp<std::uint64_t>(most_bytes / largest, 1, std::max(1U, threads)));
}

}  // namespace anamnesis::restore
