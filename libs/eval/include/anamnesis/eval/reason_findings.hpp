// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/reason_summary.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// Results of a reasoning task, read and folded.
struct ReasonFindings {
    RunRecord run;
    std::vector<ReasonResult> results;
    CheckpointRoles roles;
    ReasonSummary summary;
};

/// Names of pre and post may be empty: then names or the order decide.
ReasonFindings make_reason_findings(RunRecord run, const std::string& pre, const std::string& post);

Json to_json(const ReasonFindings& findings);
/// One row a checkpoint.
std::string to_csv(const ReasonFindings& findings);
report::Document to_document(const ReasonFindings& findings);
/// The figures as a table for a terminal.
std::string to_text(const ReasonFindings& findings);

}  // namespace anamnesis::eval
