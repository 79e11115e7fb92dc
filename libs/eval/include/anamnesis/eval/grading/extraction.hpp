// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/grading/task.hpp"

namespace anamnesis::eval::grading {

enum class AnswerSource : std::uint8_t {
    none,         ///< the response gives no answer
    unfinished,   ///< it ended inside its reasoning or inside a box
    box,          ///< the last \boxed or \fbox
    marks,        ///< "#### 18"
    answer_line,  ///< "the answer is …", "Answer: …"
    statement,    ///< the last sentence
};

/// The answer that a response gives last.
struct Extraction {
    AnswerSource source = AnswerSource::none;
    std::string text{};  ///< what is compared: LaTeX or plain text
    std::string
        sentence{};  ///< answer_line, statement: the sentence around it, for answers in words
    /// box: every box of "x = \boxed{1} or x = \boxed{-2}", which are one answer together.
    std::vector<std::string> boxes{};
};

/// What comes after the last </think>. `is_open` where a <think> after it never closes.
struct AnswerPart {
    std::string_view text;
    bool is_open = false;
};
AnswerPart after_reasoning(std::string_view response);

/// Finds the answer: box, then marks (for GSM8K whichever comes last), then answer line, then the
/// last sentence. A response that goes on with a new "Question:" ends before it.
/// Cost: linear in the response, whatever it holds.
Extraction extract_answer(std::string_view response, ReasoningTask task);

}  // namespace anamnesis::eval::grading
