// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/grading/task.hpp"

namespace anamnesis::eval {

/// One problem of a reasoning data set.
struct Problem {
    std::string id;  ///< the data set's own, else "<task>/<line, from 0>"
    ReasoningTask task = ReasoningTask::custom;
    std::string question;
    std::string gold;      ///< the short answer that is compared
    std::string solution;  ///< the worked solution, where there is one
};

/// Reads problems from JSON lines. Fields, by data set:
///
///   gsm8k    question, answer (worked, ends with "#### 18")
///   math500  problem, solution, answer, unique_id
///   aime24   id, problem, solution, answer
///   amc23    id, problem or question, answer (a number)
///   custom   problem or question, answer; perhaps id, solution
///
/// AIME's other names are taken too (Problem, Question, Answer, Solution, ID, url), and
/// lm-evaluation-harness's samples_*.jsonl: `doc` is the problem, `doc_id` its id, `target` the
/// answer where `doc` has none; of a task with several filters the lines of the first count.
/// /// Without `task` the fields of the first line decide. Calculator marks <<48/2=24>> of GSM8K
/// are taken out of the solution. A number is written as the file writes it: 27.0. Errors:
/// `not_found`; `malformed` naming file, line and field, also where two problems have one
///         id or the file holds none.
std::vector<Problem> read_problems(const std::filesystem::path& path,
                                   std::optional<ReasoningTask> task = std::nullopt);

/// The text of an identifier, which may be a string or an integer. Empty for anything else.
std::optional<std::string> read_identifier(const Json& value);

}  // namespace anamnesis::eval
