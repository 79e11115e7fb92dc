// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/task.hpp"

namespace anamnesis::eval::grading {

/// Why an answer is right or wrong.
enum class Reason : std::uint8_t {
    equal_text,        ///< the same words, or the same spelling
    equal_choice,      ///< the same letter of a multiple choice
    equal_number,      ///< equal numbers, whatever their form
    equal_expression,  ///< expressions with variables that agree wherever they were tried
    equal_structure,   ///< tuples, sets, intervals, matrices, ratios, equations
    different,
    other_unit,  ///< the units measure different things
    undecided,   ///< not understood: wrong, and worth a look
    no_answer,   ///< the response gives none
    unfinished,  ///< it ended inside its reasoning or a box, or was cut before it gave an answer
    no_gold,     ///< there is nothing to compare with
};

/// "equal_number", "no_answer"…
std::string_view to_string(Reason reason) noexcept;

bool is_correct(Reason reason) noexcept;

/// Whether an answer is another way to write the gold answer. Never true where either is empty.
/// Deterministic; bounded work for any input (docs/scoring.md).
Reason compare_answers(std::string_view gold,
                       std::string_view answer,
                       ReasoningTask task = ReasoningTask::custom);

struct Grade {
    bool is_correct = false;
    Reason reason = Reason::no_answer;
    std::string extracted{};  ///< what was compared; empty where nothing was found
};

/// Extracts and compares. Of a worked gold answer what comes after its last "####" counts.
Grade grade_response(ReasoningTask task,
                     std::string_view gold,
                     std::string_view response,
                     ResponseEnd end = ResponseEnd::finished);

/// The same for an answer that was extracted before.
Grade grade_extraction(ReasoningTask task, std::string_view gold, const Extraction& extraction);

/// Classes of equal answers for maj@k: equal answers get the number of the first of them, samples
/// without an answer get none.
/// Cost: each answer against one of each class.
std::vector<std::optional<std::size_t>> classes_of_answers(std::span<const Extraction> answers,
                                                           ReasoningTask task);

}  // namespace anamnesis::eval::grading
