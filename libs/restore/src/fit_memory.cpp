// SPDX-License-Identifier: Apache-2.0
#include "fit_memory.hpp"

#include <algorithm>
#include <cstdint>

#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {
namespace {

constexpr std::uint64_t most_bytes = 2'000'000'000;

/// Rows that are in memory beside the moments: those of a stack, from both checkpoints and fitted.
constexpr std::uint64_t rows = 4096;

/// What a group takes at most: the moments of both sides, what of them is held back, a filter and
/// its factor.
std::uint64_t estimate_bytes(const FitGroup& group, const MomentSource& moments) {
    if (group.part == "embedding") {
        return 0;  // rows in turn
    }
    const std::uint64_t inputs = group.rows.front().weight.matrix_columns();
    std::uint64_t matrices = 2;
    for (const CalibrationSide side : {CalibrationSide::recall, CalibrationSide::chains}) {
        const auto of_side =
            moments.load_counts({.part = group.part, .side = side, .layer = group.layer});
        matrices += 2 * std::max<std::uint64_t>(of_side.size(), 1);
    }
    std::uint64_t of_target = 0;
    if (has_target(group.part)) {
        for (const HeadBlock& block : group.rows) {
            of_target += 2 * block.weight.rows;
        }
    }
    return (matrices * inputs + rows + of_target) * inputs * sizeof(double);
}

}  // namespace

unsigned count_fits_side_by_side(const Plan& plan, unsigned threads) {
    std::uint64_t largest = 1;
    for (const FitGroup& group : plan.fits) {
        largest = std::max(largest, estimate_bytes(group, *plan.moments.front()));
    }
    return static_cast<unsigned>(
        std::clamp<std::uint64_t>(most_bytes / largest, 1, std::max(1U, threads)));
}

}  // namespace anamnesis::restore
