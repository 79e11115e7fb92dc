// SPDX-License-Identifier: Apache-2.0
#include "ruler/prompt_text.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/unicode.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::eval {

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
    for (std::size_t at = text.find(from); at != std::string::npos;
         at = text.find(from, at + to.size())) {
        text.replace(at, from.size(), to);
    }
    return text;
}

std::string make_singular(std::string text) {
    text = replace_all(std::move(text), "Some", "A");
    text = replace_all(std::move(text), "are all", "is");
    text = replace_all(std::move(text), "are", "is");
    return replace_all(std::move(text), "answers", "answer");
}

std::string make_needle_sentence(NeedleKind kind, std::string_view key, std::string_view value) {
    return format("One of the special magic {} for {} is: {}.", to_string(kind), key, value);
}

std::string join_keys(const std::vector<std::string>& keys) {
    if (keys.size() == 1) {
        return keys.front();
    }
    const std::vector<std::string> first(keys.begin(), keys.end() - 1);
    return join(first, ", ") + ", and " + keys.back();
}

std::string remove_newlines(std::string_view text) {
    std::string result;
    bool is_in_space = true;
    for (std::size_t at = 0; at < text.size();) {
        const auto step = language::read_utf8(text, at);
        if (is_python_space(step.code)) {
            is_in_space = true;
        } else {
            result += is_in_space && !result.empty() ? " " : "";
            result += text.substr(at, step.length);
            is_in_space = false;
        }
        at += step.length;
    }
    return result;
}

std::string join_parts(const std::vector<PromptPart>& parts) {
    std::size_t size = 0;
    for (const PromptPart& part : parts) {
        size += part.text.size();
    }
    std::string text;
    text.reserve(size);
    for (const PromptPart& part : parts) {
        text += part.text;
    }
    return text;
}

std::vector<PromptPart> take_first_bytes(const std::vector<PromptPart>& parts, std::size_t bytes) {
    std::vector<PromptPart> result;
    for (const PromptPart& part : parts) {
        const std::size_t taken = std::min(bytes, part.text.size());
        result.push_back({.text = part.text.substr(0, taken), .whole = part.whole});
        bytes -= taken;
        if (bytes == 0) {
            break;
        }
    }
    return result;
}

std::size_t count_code_points(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace anamnesis::eval
