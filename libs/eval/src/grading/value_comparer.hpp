// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "grading/identity.hpp"
#include "grading/value.hpp"

namespace anamnesis::eval::grading {

struct ComparisonRules {
    /// The gold answers of the data set are bare numbers also where a percentage was asked.
    bool gold_drops_percent = false;
};

struct Comparison {
    Sameness sameness = Sameness::different;
    bool has_other_unit = false;  ///< the numbers were not compared: the units do not fit
};

Comparison compare_values(const Value& gold, const Value& answer, const ComparisonRules& rules);

}  // namespace anamnesis::eval::grading
