// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/eval/scoreboard.hpp"

namespace anamnesis::eval {

/// An evaluation of recall: needles in haystacks.
struct NiahJob {
    AskingJob asking{};
    HaystackPlan haystack{};          ///< the prompts that are made here, unless
    std::filesystem::path prompts{};  ///< there is a file of RULER's
    std::size_t max_new_tokens = 128;
    bool gives_prefix = true;  ///< the model continues RULER's answer prefix
    bool asks_logprob = true;  ///< of the true values
    /// For the record: the variables of the engines' chat templates, true or false.
    Json chat{};
};

/// Asks every model what the folder does not hold yet and writes the reports; goes on where it was
/// stopped. A shard writes none: its answers are joined later, and its JSON says what it did.
///
/// Errors: `io` where questions stay without an answer; `cancelled` after a stop; `mismatch` for an
///         engine that fails its check, a tokenizer of its own, or a folder of other settings;
///         `usage` for what no answer could be right of (`check_needle`).
EvaluationReport run_niah(const NiahJob& job, Scoreboard& scoreboard, const Watch& watch);

}  // namespace anamnesis::eval
