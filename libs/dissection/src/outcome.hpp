// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/dissection/findings.hpp"

#include "subject.hpp"

namespace anamnesis::dissection {

/// What some weights predict, and how much of recall they win back and of reasoning they keep. All
/// scores are of the same texts.
Outcome make_outcome(const std::string& name,
                     const Scores& scores,
                     const Scores& of_pre,
                     const Scores& of_post);

/// Warns where fewer than 20 texts of a kind were given: half of them choose, and shares of the
/// other half are a guess.
void warn_of_few_texts(Findings& findings);

}  // namespace anamnesis::dissection
