// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/eval/back_end.hpp"

namespace anamnesis::eval {

/// One thing an engine must do before a model is blamed.
struct EngineCheck {
    std::string name;
    bool is_passed = false;
    std::string detail;
};

/// Asks `shorts` one by one twice, then all at once, and `longs` last: answers to the same prompt
/// must be the same, alone, repeated and beside others; no answer may be empty or degenerate.
/// Nothing is said of whether answers are right. Prompts should be decoded greedily.
///
/// Errors: `io` where a question has no answer.
std::vector<EngineCheck> check_engine(BackEnd& back_end,
                                      const std::vector<Question>& shorts,
                                      const std::vector<Question>& longs,
                                      const std::stop_token& cancel);

}  // namespace anamnesis::eval
