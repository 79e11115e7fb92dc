// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace anamnesis::eval::grading {

/// A part of a text: what "Answer:" introduces, or the last sentence.
struct Statement {
    std::size_t begin = 0;  ///< its place in the text
    std::string sentence;
};

/// The sentence after the last "answer is", "Answer:" or the like.
std::optional<Statement> find_answer_line(std::string_view text);

/// What comes after the last "####", or after a last line of "###".
std::optional<Statement> find_marks(std::string_view text);

/// The last sentence, unless it breaks off.
std::optional<Statement> find_last_sentence(std::string_view text);

/// A text that is an answer as a whole.
Statement whole_statement(std::string_view text);

/// The value a sentence gives: its mathematics, the whole of "42 meters", or, of a sentence in
/// prose with several numbers, the one it states. `takes_first`: of several formulas the first.
/// The sentence itself where it holds no value.
std::string value_of_sentence(std::string_view sentence, bool takes_first, bool may_search_numbers);

}  // namespace anamnesis::eval::grading
