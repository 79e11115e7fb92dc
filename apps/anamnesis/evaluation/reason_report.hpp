// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/reason_summary.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::app {

/// Results of a reasoning task, read and folded.
struct ReasonFindings {
    eval::RunRecord run;
    std::vector<eval::ReasonResult> results;
    eval::CheckpointRoles roles;
    eval::ReasonSummary summary;
};

/// Names of pre and post may be empty: then they are told by name or order.
ReasonFindings to_reason_findings(eval::RunRecord run,
                                  const std::string& pre,
                                  const std::string& post);

Json to_json(const ReasonFindings& findings);
/// One row a checkpoint.
std::string to_csv(const ReasonFindings& findings);
report::Document to_document(const ReasonFindings& findings);
/// The figures as a table for a terminal.
std::string to_text(const ReasonFindings& findings);

}  // namespace anamnesis::app
