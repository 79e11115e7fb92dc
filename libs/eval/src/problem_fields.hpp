// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/io/line_reader.hpp"

namespace anamnesis::eval {

/// True for a line of lm-evaluation-harness's samples_*.jsonl: `doc_id` and the problem as `doc`.
bool is_lm_eval_sample(const Json& line);

/// The fields of the problem: `doc` of a line of lm-eval's samples, else the line itself.
const Json& problem_fields(const Json& line);

/// The first of the fields that is there and not null.
const Json* find_any(const Json& line, std::initializer_list<std::string_view> names);

/// What the fields of a problem are known by.
ReasoningTask recognise_task(const Json& fields);

/// doc_id, unique_id, id, ID or, of AIME, url. Empty where the line has none.
/// Errors: `malformed` for one that is neither text nor an integer.
std::optional<std::string> find_identifier(const Json& line, const io::JsonLineReader& reader);

/// answer, Answer or gold, else lm-eval's target; a number as the file writes it. Empty for none.
std::optional<std::string> find_gold(const Json& line);

/// Every response of a line of lm-eval's samples: `resps`, else `filtered_resps`.
/// Errors: `malformed` where they are no texts: log likelihoods of a multiple choice.
std::vector<std::string> read_lm_eval_responses(const Json& line, const io::JsonLineReader& reader);

/// lm-eval writes a line for each of a task's filters, with the same responses: true for those of
/// the first filter, whose name is kept in `first`.
bool is_first_filter(const Json& line, std::optional<std::string>& first);

}  // namespace anamnesis::eval
