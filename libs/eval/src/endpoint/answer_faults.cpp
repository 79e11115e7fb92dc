// SPDX-License-Identifier: Apache-2.0
#include "endpoint/answer_faults.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "grading/characters.hpp"

namespace anamnesis::eval {
namespace {

/// Characters that special tokens before a prompt may be spelt with, or may lack in an echo.
constexpr std::size_t slack = 256;
/// A model may begin its answer with a short question; a long prompt it does not write out.
constexpr std::size_t shortest_prompt = 64;
constexpr std::size_t compared = 48;

/// The code of "\uXXXX" at `position`; empty for anything else.
std::optional<unsigned> read_escape(std::string_view json, std::size_t position) {
    if (json.substr(position, 2) != "\\u" || position + 6 > json.size()) {
        return std::nullopt;
    }
    const char* first = json.data() + position + 2;
    unsigned code = 0;
    const auto result = std::from_chars(first, first + 4, code, 16);
    return result.ptr == first + 4 ? std::optional(code) : std::nullopt;
}

bool is_high(unsigned code) {
    return code >= 0xD800 && code < 0xDC00;
}

bool is_low(unsigned code) {
    return code >= 0xDC00 && code < 0xE000;
}

std::string_view without_folders(std::string_view name) {
    return name.substr(name.find_last_of('/') + 1);
}

}  // namespace

bool remove_echo(std::string_view prompt, std::string& text) {
    prompt = grading::trim(prompt);
    if (prompt.size() < shortest_prompt) {
        return false;
    }
    // What is at the ends of a prompt may be special tokens, which an echo leaves out.
    const std::size_t margin = std::min(slack, prompt.size() / 4);
    const std::string_view inner = prompt.substr(margin, prompt.size() - 2 * margin);
    const std::string_view head = inner.substr(0, compared);
    const std::string_view tail = inner.substr(inner.size() - std::min(compared, inner.size()));
    const std::string_view all = text;
    const std::size_t begin = all.substr(0, margin + slack + head.size()).find(head);
    if (begin == std::string_view::npos) {
        return false;
    }
    const std::size_t last = begin + inner.size() - tail.size();
    if (last > all.size() || !all.substr(last).starts_with(tail)) {
        return false;
    }
    // After the tail comes the prompt's own end, as far as it was repeated.
    std::size_t end = last + tail.size();
    for (std::string_view rest = prompt.substr(prompt.size() - margin); !rest.empty();
         rest.remove_prefix(1)) {
        if (all.substr(end).starts_with(rest)) {
            end += rest.size();
            break;
        }
    }
    text.erase(0, end);
    return true;
}

std::string with_whole_surrogates(std::string_view json) {
    std::string result;
    std::size_t position = 0;
    while (position < json.size()) {
        if (json[position] != '\\') {
            result += json[position++];
            continue;
        }
        const std::optional<unsigned> code = read_escape(json, position);
        if (!code) {
            result += json.substr(position, 2);
            position += 2;
            continue;
        }
        const std::optional<unsigned> next =
            is_high(*code) ? read_escape(json, position + 6) : std::nullopt;
        if (next && is_low(*next)) {
            result += json.substr(position, 12);
            position += 12;
            continue;
        }
        result += is_high(*code) || is_low(*code) ? std::string_view("\\ufffd")
                                                  : json.substr(position, 6);
        position += 6;
    }
    return result;
}

bool are_other_models(std::string_view one, std::string_view other) {
    one = without_folders(one);
    other = without_folders(other);
    return one.find(other) == std::string_view::npos && other.find(one) == std::string_view::npos;
}

}  // namespace anamnesis::eval
