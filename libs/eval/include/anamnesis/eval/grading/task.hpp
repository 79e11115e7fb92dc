// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "anamnesis/base/words.hpp"

namespace anamnesis::eval {

/// Data sets of reasoning problems; `custom` is all others.
enum class ReasoningTask : std::uint8_t { gsm8k, math500, aime24, amc23, custom };

inline constexpr std::array<Word<ReasoningTask>, 5> reasoning_task_words{{
    {ReasoningTask::gsm8k, "gsm8k"},
    {ReasoningTask::math500, "math500"},
    {ReasoningTask::aime24, "aime24"},
    {ReasoningTask::amc23, "amc23"},
    {ReasoningTask::custom, "custom"},
}};
std::string_view to_string(ReasoningTask task) noexcept;

/// Errors: `usage` for an unknown name, listing the known ones.
ReasoningTask parse_reasoning_task(std::string_view name);

}  // namespace anamnesis::eval
