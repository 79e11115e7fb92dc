// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis::eval {

/// Data sets of reasoning problems; `custom` stands for all others.
enum class ReasoningTask : std::uint8_t { gsm8k, math500, aime24, amc23, custom };

std::string_view name_of(ReasoningTask task) noexcept;

/// Errors: `usage` for an unknown name, listing the known ones.
ReasoningTask reasoning_task_of(std::string_view name);

}  // namespace anamnesis::eval
