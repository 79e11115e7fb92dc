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

/// What a back end can carry, to judge questions by before they are asked.
struct PreflightFacts {
    std::optional<std::size_t> context_length{};
    PromptForm form{};
    std::function<std::size_t(std::string_view)> count_tokens;
    bool is_served = false;             ///< the context is a server's, not that of a config
    std::string less = "--max-tokens";  ///< the options with which less is asked for
};

/// Refuses a prompt that with its answer does not fit the context. `what` names it in the error.
/// Errors: `usage`.
void check_room(const std::string& what, const Question& question, const PreflightFacts& facts);

/// Refuses what would score zero for the wrong reason: no room, a prompt whose answer prefix is
/// missing, a chat template that cuts it, a budget in which the true answer has no room.
/// Errors: `usage`, saying which of these, with the figures.
void check_needle(const Sample& sample,
                  const Question& question,
                  bool gives_prefix,
                  const PreflightFacts& facts);

}  // namespace anamnesis::eval
