// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/shell.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace anamnesis {

std::string quote_for_shell(std::string_view word) {
    const bool is_plain = !word.empty() && std::ranges::all_of(word, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("/._-+=:@").find(c) != std::string_view::npos;
    });
    if (is_plain) {
        return std::string(word);
    }
    std::string quoted = "'";
    for (const char c : word) {
        quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return quoted + "'";
}

}  // namespace anamnesis
