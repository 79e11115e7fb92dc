// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/sample.hpp"

namespace anamnesis::eval {

/// What a run is going to do, to be judged before it does.
struct PreflightFacts {
    std::optional<std::size_t> context_length{};  ///< of the back end
    bool gives_prefix = true;
    std::size_t max_new_tokens = 128;
    PromptForm form{};
    std::function<std::size_t(std::string_view)> count_tokens;
};

/// Refuses what would score zero for the wrong reason: a context that the prompt does not fit, a
/// prompt whose answer prefix is missing, a chat template that cuts it, a budget in which the true
/// answer has no room.
/// Errors: `usage`, saying which of these, with the figures.
void check_before_run(const Sample& sample, const Question& question, const PreflightFacts& facts);

}  // namespace anamnesis::eval
