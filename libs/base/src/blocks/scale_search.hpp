// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

/// How llama.cpp looks for the scale under which a few values lose least when they become small
/// integers. Sums are float32, from the first value to the last.
namespace anamnesis::blocks {

using Values = std::span<const float>;
using Levels = std::span<int>;

/// Values below this are all zero.
inline constexpr float smallest_group = 1e-15F;

/// The element of largest magnitude, the first among equals; 0 for none.
float find_extreme(Values values);

/// Levels from 0 to 2 * most - 1, `most` standing for 0: the best of 19 scales by the weighted sum
/// of squares. Without weights the squares of the values are weights. Returns the scale.
float search_signed(Values values, int most, Values weights, Levels levels);

/// The same levels by improving one level at a time, at most five times through, weighted by the
/// squares of the values.
float improve_signed(Values values, int most, Levels levels);

/// Levels from 0 to `most` of values that are not negative, all weighted.
float search_positive(Values values, int most, Values weights, Levels levels);

/// A scale and what is taken away from it: value = scale * level - min.
struct ScaleFit {
    float scale = 0.0F;
    float min = 0.0F;
};

/// The scales that `search_range` tries: (first + step * i + most) / width, i from 0 to `steps`.
struct RangeSearch {
    int most = 15;
    float first = -1.0F;
    float step = 0.1F;
    int steps = 20;
    bool is_absolute = false;  ///< weighs |error|, not its square
};

/// Levels from 0 to `most` above a minimum that is at most 0.
ScaleFit search_range(Values values, Values weights, const RangeSearch& search, Levels levels);

}  // namespace anamnesis::blocks
