// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "anamnesis/base/random.hpp"
#include "anamnesis/language/supervised_text.hpp"

namespace anamnesis::train::synthetic {

/// What a needle's value and the text around it are, after RULER's NIAH single 1, 2 and 3.
enum class Needle : std::uint8_t {
    s1,  ///< 4 of 10 symbols in repeated sentences
    s2,  ///< 4 of 10 symbols in varied text
    s3,  ///< 6 of 16 symbols in varied text
};

struct RetrievalShape {
    Needle needle = Needle::s2;
    std::size_t length = 128;   ///< tokens of the sample
    std::size_t needles = 1;    ///< those that no question asks for are distractors
    std::size_t questions = 1;  ///< at most as many as needles
};

/// Tokens of the longest needle and of the longest question, those of S3.
inline constexpr std::size_t needle_tokens = 13;
inline constexpr std::size_t question_tokens = needle_tokens + 2;

/// Needles of a question in pretraining and in measurements, where the text has room for them.
inline constexpr std::size_t most_needles = 14;

/// Weight of the prediction of running text beside that of answers (1).
inline constexpr float text_weight = 0.05F;

/// "the magic number for river is pi mu eta xi ." somewhere in a text, and after it
/// "question : the magic number for river is pi mu eta xi .". The symbols are no digits: where they
/// were, a fine-tune on "g is 7 , 0 0 + 7" taught that a comma follows a digit, and what was lost
/// was the second symbol of a value that had been found. Errors: `usage` for a length that needles
/// and questions do not fit.
language::SupervisedText retrieval(Random& random, const RetrievalShape& shape);

/// "let b is 8 ; … find f is 2 ; …": letters and digits, then those asked for.
language::SupervisedText lookup(Random& random);

enum class Chain : std::uint8_t { none, joined, spaced };

/// "3 4 + 5 = 3 9 ;" again and again. In a chain each sum is taken up by the next one; spaced: up
/// to four words come between.
language::SupervisedText arithmetic(Random& random, std::size_t length, Chain chain);

/// Tokens of a problem with its chain of thought, the first token of the text not counted.
inline constexpr std::size_t problem_tokens = 111;

/// Six variables to look up and add, step by step, among distractors:
/// "let g is 7 ; … find : g is 7 , 0 0 + 7 = 0 7 ; … answer 3 1 .". Learned: what follows the
/// colon. Of several problems in a text each has values of its own.
language::SupervisedText chain_of_thought(Random& random, std::size_t problems = 1);

/// The same problems, answered by the values alone, "g is 7 ; h is 9 ; … .": a fine-tune without a
/// chain of thought.
language::SupervisedText instruction(Random& random, std::size_t problems = 1);

}  // namespace anamnesis::train::synthetic
