// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace anamnesis::eval {

/// z with P(|Z| <= z) = confidence for a standard normal Z; confidence in (0, 1).
double normal_quantile_two_sided(double confidence);

/// P(|T| >= |t|) for Student's T with `degrees` > 0 degrees of freedom.
double student_tail_two_sided(double t, double degrees);

/// t with P(|T| <= t) = confidence.
double student_quantile_two_sided(double confidence, double degrees);

}  // namespace anamnesis::eval
