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
    unfinished,   ///< it ended inside its reasoning or a box, or was cut before it gave an answer
    box,          ///< the last \boxed or \fbox
    marks,        ///< "#### 18"
    answer_line,  ///< "the answer is …", "Answer: …", <answer>…</answer>, {"answer": …}
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

/// How a response ends: of itself, or because its budget of tokens was used up.
enum class ResponseEnd : std::uint8_t { finished, cut };
constexpr ResponseEnd response_end(bool is_cut) noexcept {
    return is_cut ? ResponseEnd::cut : ResponseEnd::finished;
}

/// What comes after the last </think>, <reasoning> and their like, in any case; where nothing does,
/// what comes before the reasoning. `is_open` where reasoning after it never closes.
struct AnswerPart {
    std::string_view text;
    bool is_open = false;
};
AnswerPart after_reasoning(std::string_view response);

/// Finds the answer: <answer> tags, then JSON with an answer, then box, then marks (for GSM8K
/// whichever comes last), then answer line, then the last sentence, which is none in a response
/// that was cut. A response that goes on with a new "Question:" ends before it.
/// Cost: linear in the response, whatever it holds.
Extraction extract_answer(std::string_view response,
                          ReasoningTask task,
                          ResponseEnd end = ResponseEnd::finished);

}  // namespace anamnesis::eval::grading
