// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "anamnesis/base/dtype.hpp"

#include "blocks/fields.hpp"
#include "blocks/scale_search.hpp"

/// One block each. `weights` are empty, or one for each value of the block; `mean_square` is that
/// of the values of the whole row (of 32-element types with weights).
namespace anamnesis::blocks {

void quantise_q8_0(Values values, Target block);
void quantise_q4(DType dtype, Values values, Values weights, float mean_square, Target block);
void quantise_q5(DType dtype, Values values, Values weights, float mean_square, Target block);

void quantise_q2_k(Values values, Values weights, Target block);
void quantise_q3_k(Values values, Values weights, Target block);
void quantise_q4_k(Values values, Values weights, Target block);
void quantise_q5_k(Values values, Values weights, Target block);
void quantise_q6_k(Values values, Values weights, Target block);

void quantise_iq4_nl(Values values, Values weights, Target block);
void quantise_iq4_xs(Values values, Values weights, Target block);
void quantise_mxfp4(Values values, Target block);
void quantise_tq1_0(Values values, Target block);
void quantise_tq2_0(Values values, Target block);
void quantise_q1_0(Values values, Target block);
void quantise_q2_0(Values values, Target block);

/// Sum of squares, from the first value to the last.
float add_squares(Values values);

/// importance * sqrt(mean + value^2) for each value.
void weigh_by_importance(Values values, Values importance, float mean, std::span<float> weights);

}  // namespace anamnesis::blocks
