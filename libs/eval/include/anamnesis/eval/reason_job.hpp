// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// An evaluation of reasoning on the problems of a data set.
struct ReasonJob {
    AskingJob asking{};
    ReasoningTask task = ReasoningTask::custom;
    std::filesystem::path data{};
    std::uint64_t limit = 0;  ///< the first problems alone; 0: all
    std::uint32_t k = 1;      ///< samples of each problem
    language::Sampling sampling{};
    std::uint64_t seed = 0;                   ///< of samples and of worked examples
    std::uint32_t shots = 0;                  ///< worked examples before each question, drawn from
    std::filesystem::path train{};            ///< these problems
    std::filesystem::path prompt_template{};  ///< a prompt of your own, with {question} in it
    std::size_t max_new_tokens = 8192;
    /// For the record: the variables of the engines' chat templates, true or false.
    Json chat{};
};

/// As `run_niah`. Errors: the same, and those of the data; `usage` for worked examples without
/// problems to draw them from, or beside a prompt template, and for settings of a sampling that
/// greedy decoding ignores.
EvaluationReport run_reason(const ReasonJob& job, Scoreboard& scoreboard, const Watch& watch);

}  // namespace anamnesis::eval
