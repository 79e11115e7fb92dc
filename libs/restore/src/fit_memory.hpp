// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// How many groups of a plan may be fitted side by side, at least one, so that their moments and
/// factors take no more than 2 GB together.
unsigned count_fits_side_by_side(const Plan& plan, unsigned threads);

}  // namespace anamnesis::restore
