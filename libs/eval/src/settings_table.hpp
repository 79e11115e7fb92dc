// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// Settings and checkpoints of a run, one a row.
report::Table settings_table(const RunRecord& run);

}  // namespace anamnesis::eval
