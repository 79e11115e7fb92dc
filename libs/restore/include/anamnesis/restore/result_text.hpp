// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// What `--json` prints of outputs that were written (docs/json.md).
Json to_json(const std::vector<Result>& results,
             const std::vector<checkpoint::Finding>& findings,
             double seconds);

/// What `undo --json` prints.
Json make_undo_json(const Result& result);

/// The drift before and after by layer and part; empty for a receipt that measures none.
std::string make_drift_table(const Result& result);

/// What may be wrong with what was written, a sentence each.
std::vector<std::string> list_warnings(const Result& result);

/// Errors: `mismatch` where some output has such a warning.
void refuse_result_warnings(const std::vector<Result>& results);

/// "out: 3.2 GB written, 1.1 GB shared in 2.31 s"
std::string describe_result(const Result& result, double seconds);

/// "qwen3 (verified): method qk, 3.2 MB in 6 tensors of layers 3,7 from pre into post"
std::string describe_plan(const Plan& plan);

}  // namespace anamnesis::restore
