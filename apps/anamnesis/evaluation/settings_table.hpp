// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::app {

/// Settings and checkpoints of a run, one a row.
report::Table settings_table(const eval::RunRecord& run);

}  // namespace anamnesis::app
