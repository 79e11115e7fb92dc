// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// Shows answers: those that changed their verdict between two checkpoints, or the wrong ones of a
/// single checkpoint.
void add_samples(report::Document& document, const NiahFindings& findings);

}  // namespace anamnesis::eval
