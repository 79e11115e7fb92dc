// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/eval/niah_findings.hpp"
#include "anamnesis/eval/reason_findings.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// What each checkpoint gains over post: reasoning across, recall up, both in points with their
/// intervals; and the table in the paper's form. For checkpoints of both.
void add_trade_off(report::Document& document,
                   const NiahFindings& recall,
                   const ReasonFindings& reasoning);

}  // namespace anamnesis::eval
