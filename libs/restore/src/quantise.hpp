// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"

namespace anamnesis::restore {

/// Where the rows of a requantised weight and those of its scale go.
struct QuantisedTarget {
    const TensorChange& weight;
    const ChangeTarget& weight_target;
    const TensorChange& scale;
    const ChangeTarget& scale_target;
};

/// Writes pre's values in post's 8-bit storage: for every block of the scale its largest value over
/// the largest of the type becomes the scale, rounded to the scale's type, and the values over that
/// scale are rounded to nearest, ties to even.
/// Cost: reads pre's rows twice; one row and a row of scales in memory.
void quantise_rows(const RecognisedCheckpoint& pre,
                   const QuantisedTarget& target,
                   const Execution& execution);

}  // namespace anamnesis::restore
