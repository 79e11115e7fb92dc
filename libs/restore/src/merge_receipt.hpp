// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/json.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// The receipt of a plan that merges an adapter, less what only the writer of an output knows.
Json make_merge_receipt(const Plan& plan);

}  // namespace anamnesis::restore
