// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/eval/grading/task.hpp"

/// The scoring rules of lm-evaluation-harness 0.4.13, so that figures can be compared. They look at
/// the spelling, not at the value; reasoning is not stripped.
namespace anamnesis::eval::grading {

/// `strip_string` of hendrycks_math; empty where it raises, and raw strings are compared instead.
std::optional<std::string> hendrycks_strip(std::string_view text);

/// `last_boxed_only_string`: the last \boxed or \fbox with its command.
std::optional<std::string> hendrycks_last_boxed(std::string_view text);

/// `normalize_final_answer` of minerva_math (Lewkowycz et al., arXiv 2206.14858, appendix D).
/// Beyond ASCII every character that is no known punctuation counts as a letter.
std::string minerva_normalise(std::string_view text);

/// What "Final Answer: The final answer is … I hope it is correct." encloses, or
/// "[invalidanswer]".
std::string minerva_extract(std::string_view response);

/// The filters of gsm8k and gsm8k_cot; "[invalid]" where nothing matches.
std::string gsm8k_strict_extract(std::string_view response);
std::string gsm8k_flexible_extract(std::string_view response);
std::string gsm8k_cot_strict_extract(std::string_view response);

/// `exact_match` of gsm8k: without commas, dollar signs, all before "#### " and a final full stop.
bool gsm8k_equal(std::string_view gold, std::string_view extracted);

/// Verdicts of the tasks' rules.
struct LmEvalVerdicts {
    bool hendrycks = false;     ///< hendrycks_math500: between the first and the last "$"
    bool aime = false;          ///< aime24: the same, overridden by the last box
    bool minerva_text = false;  ///< minerva_math500 where strings are equal, before sympy is asked
    /// GSM8K only.
    std::optional<bool> gsm8k_strict;
    std::optional<bool> gsm8k_flexible;
    std::optional<bool> gsm8k_cot_strict;
};

/// Cost: linear in the response.
LmEvalVerdicts lm_eval_verdicts(ReasoningTask task,
                                std::string_view gold,
                                std::string_view response);

}  // namespace anamnesis::eval::grading
