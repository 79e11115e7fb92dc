// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/chat_variables.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {
namespace {

/// How a value that is no JSON is to be written, where it was probably meant to be some; empty for
/// a plain text.
std::string find_spelling(const std::string& name, const std::string& value) {
    std::string word = value;
    std::ranges::transform(word, word.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    if (word == "true" || word == "false" || word == "null" || word == "none") {
        return format("write {}={}", name, word == "none" ? "null" : word);
    }
    constexpr std::string_view beginnings = "{[\"'";
    const bool is_broken = !value.empty() && beginnings.find(value.front()) != std::string::npos;
    return is_broken ? "put texts into double quotes and close every bracket and quote" : "";
}

Json parse_value(const std::string& name, const std::string& value) {
    try {
        return Json::parse(value);
    } catch (const Error&) {
        if (const std::string spelling = find_spelling(name, value); !spelling.empty()) {
            throw Error(
                ErrorKind::usage,
                format("--chat-var {}: {} is no JSON; {}", name, in_quotes(value), spelling));
        }
        return value;
    }
}

}  // namespace

Json parse_chat_variables(const std::vector<std::string>& variables) {
    Json result;
    for (const std::string& variable : variables) {
        const std::size_t mark = variable.find('=');
        if (mark == std::string::npos || mark == 0) {
            throw Error(ErrorKind::usage,
                        format("--chat-var is NAME=JSON, not {}", in_quotes(variable)));
        }
        const std::string name = variable.substr(0, mark);
        result.set(name, parse_value(name, variable.substr(mark + 1)));
    }
    return result;
}

}  // namespace anamnesis::language
