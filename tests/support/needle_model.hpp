// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "anamnesis/language/scripted_model.hpp"

namespace anamnesis::testing {

/// Answers a needle question from the last `memory` bytes of its prompt; what lies farther back it
/// has forgotten.
inline std::string recall(std::string_view prompt, std::size_t memory) {
    constexpr std::string_view asks = " for ";
    constexpr std::string_view mentioned = " mentioned in the provided text";
    const std::size_t end = prompt.rfind(mentioned);
    const std::size_t begin = prompt.rfind(asks, end) + asks.size();
    const std::string needle = "for " + std::string(prompt.substr(begin, end - begin)) + " is: ";
    const std::size_t from = prompt.size() > memory ? prompt.size() - memory : 0;
    const std::size_t at = prompt.find(needle, from);
    if (at == std::string_view::npos) {
        return " unknown.";
    }
    const std::size_t value = at + needle.size();
    return " " + std::string(prompt.substr(value, prompt.find('.', value) - value)) + ".";
}

inline language::ScriptedModel needle_model(std::size_t memory) {
    return language::ScriptedModel(
        [memory](std::string_view prompt) { return recall(prompt, memory); });
}

}  // namespace anamnesis::testing
