// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/reproduction/findings.hpp"

namespace anamnesis::reproduction {

/// The paper's claims, held against figures of which all but the verdicts are there.
std::vector<Claim> make_claims(const Findings& findings);

/// What a reproduction should reach (docs/reproduction.md).
std::vector<Goal> evaluate_goals(const Findings& findings);

}  // namespace anamnesis::reproduction
