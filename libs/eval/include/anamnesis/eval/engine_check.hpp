// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// One thing an engine must do before a model is blamed.
struct EngineCheck {
    std::string name;
    bool is_passed = false;
    std::string detail;
};

/// Tells a broken engine from a model that forgot. The same prompts must get the same answers,
/// token by token: asked twice, beside others, with a warm cache, and read in pieces (their first
/// half before, so that an engine that keeps states goes on from it). No answer may be empty or
/// degenerate, to short prompts and to long ones. Nothing is said of whether answers are right.
/// Prompts should be decoded greedily.
///
/// Errors: `io` where a question has no answer.
std::vector<EngineCheck> check_engine(BackEnd& back_end,
                                      const std::vector<Question>& shorts,
                                      const std::vector<Question>& longs,
                                      const language::Tokenizer& tokenizer,
                                      const std::stop_token& cancel);

}  // namespace anamnesis::eval
