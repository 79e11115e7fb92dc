// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/report/document.hpp"

#include "evaluation/niah_report.hpp"
#include "evaluation/reason_report.hpp"

namespace anamnesis::app {

/// What each checkpoint gains over post: reasoning across, recall up, both in points with their
/// intervals; and the table in the paper's form. For checkpoints that stand in both.
void add_trade_off(report::Document& document,
                   const NiahFindings& recall,
                   const ReasonFindings& reasoning);

}  // namespace anamnesis::app
