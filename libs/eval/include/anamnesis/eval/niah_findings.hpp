// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/niah_summary.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// Results of needle tasks, read and folded.
struct NiahFindings {
    RunRecord run;
    std::vector<NiahResult> results;
    CheckpointRoles roles;
    NiahSummary summary;
};

/// Names of pre and post may be empty: then names or the order decide.
NiahFindings make_niah_findings(RunRecord run, const std::string& pre, const std::string& post);

Json to_json(const NiahFindings& findings);
/// One row a checkpoint, task and length.
std::string to_csv(const NiahFindings& findings);
report::Document to_document(const NiahFindings& findings);
/// The figures as a table for a terminal.
std::string to_text(const NiahFindings& findings);

}  // namespace anamnesis::eval
