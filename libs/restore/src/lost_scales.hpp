// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::restore {

/// A weight, and where it lies.
struct PlacedWeight {
    const checkpoint::Checkpoint& checkpoint;
    const checkpoint::TensorEntry& tensor;
};

/// The root of the mean square of some rows, scaled where they have scales; 0 where there are no
/// values.
double measure_size(const PlacedWeight& weight);

/// Why an 8-bit float without a scale cannot be a plain cast, whose values are what they say:
/// beside it lies a scale under a name that is not known here, or its values are of another size
/// than those of its counterpart in the other checkpoint. Empty where it can.
std::string find_lost_scale(const PlacedWeight& weight, const PlacedWeight& counterpart);

}  // namespace anamnesis::restore
