// SPDX-License-Identifier: Apache-2.0
#include "grading/answer_part.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/grading/extraction.hpp"

#include "grading/characters.hpp"

namespace anamnesis::eval::grading {
namespace {

struct Tags {
    std::string_view open;
    std::string_view close;
};

/// In lower case. Those of DeepSeek and Qwen, Mistral, R1-style trainers, OpenThoughts, Kimi,
/// Command A, Seed and, of gpt-oss, the channels.
constexpr auto reasoning_tags = std::to_array<Tags>({
    {"<think>", "</think>"},
    {"<thinking>", "</thinking>"},
    {"[think]", "[/think]"},
    {"<reasoning>", "</reasoning>"},
    {"<reason>", "</reason>"},
    {"<thought>", "</thought>"},
    {"<thoughts>", "</thoughts>"},
    {"<analysis>", "</analysis>"},
    {"<reflection>", "</reflection>"},
    {"<scratchpad>", "</scratchpad>"},
    {"<seed:think>", "</seed:think>"},
    {"<|begin_of_thought|>", "<|end_of_thought|>"},
    {"<|start_thinking|>", "<|end_thinking|>"},
    {"◁think▷", "◁/think▷"},
    {"<|channel|>analysis<|message|>", "<|channel|>final<|message|>"},
});

constexpr auto answer_names =
    std::to_array<std::string_view>({"answer", "final_answer", "final-answer", "finalanswer"});

constexpr std::size_t none = std::string_view::npos;
constexpr std::size_t longest_tag = 100;
constexpr std::size_t largest_object = 64'000;

/// The place after "<answer>" or "<answer type="x">" at `position`, `none` for another tag.
std::size_t opening_end(std::string_view lowered, std::size_t position) {
    for (const std::string_view name : answer_names) {
        const std::size_t after = position + 1 + name.size();
        if (!lowered.substr(position + 1).starts_with(name) || after >= lowered.size()) {
            continue;
        }
        if (lowered[after] == '>') {
            return after + 1;
        }
        const std::size_t close = lowered.substr(0, after + longest_tag).find('>', after);
        if (lowered[after] == ' ' && close != none) {
            return close + 1;
        }
    }
    return none;
}

std::size_t closing_begin(std::string_view lowered, std::size_t from) {
    for (std::size_t at = lowered.find("</", from); at != none; at = lowered.find("</", at + 1)) {
        if (std::ranges::any_of(answer_names, [&](std::string_view name) {
                return lowered.substr(at + 2).starts_with(name);
            })) {
            return at;
        }
    }
    return none;
}

std::string_view without_fences(std::string_view text) {
    text = trim(text);
    if (text.starts_with("```")) {
        const std::size_t line = text.find('\n');
        text = line == none ? text.substr(3) : text.substr(line + 1);
    }
    if (text.ends_with("```")) {
        text.remove_suffix(3);
    }
    return trim(text);
}

/// Backslashes of LaTeX that JSON does not know, doubled; line breaks as spaces.
std::string with_backslashes_escaped(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        result += static_cast<unsigned char>(text[i]) < ' ' ? ' ' : text[i];
        if (text[i] != '\\') {
            continue;
        }
        if (i + 1 < text.size() && (text[i + 1] == '\\' || text[i + 1] == '"')) {
            result += text[++i];
        } else {
            result += '\\';
        }
    }
    return result;
}

std::string value_text(const Json& value) {
    if (value.is_string()) {
        return value.as_string("answer");
    }
    if (!value.is_array()) {
        return value.is_number() ? value.dump() : std::string();
    }
    std::string text;
    for (const Json& item : value.as_array("answer")) {
        text += (text.empty() ? "" : " , ") + value_text(item);
    }
    return text;
}

std::optional<std::string> read_object(std::string_view text) {
    if (text.size() > largest_object || !text.starts_with('{') || !text.ends_with('}')) {
        return std::nullopt;
    }
    try {
        const Json object = Json::parse(with_backslashes_escaped(text));
        for (const auto& [key, value] : object.as_object("answer")) {
            const std::string name = lower(key);
            if (name == "answer" || name == "final_answer" || name == "final answer") {
                std::string answer = value_text(value);
                return trim(answer).empty() ? std::nullopt : std::optional(std::move(answer));
            }
        }
    } catch (const Error&) {
        // It only looked like JSON.
    }
    return std::nullopt;
}

}  // namespace

AnswerPart after_reasoning(std::string_view response) {
    const std::string lowered = lower(response);
    std::size_t begin = 0;
    std::size_t first_open = none;
    for (const Tags& tags : reasoning_tags) {
        const std::size_t close = find_last(lowered, tags.close);
        if (close != none) {
            begin = std::max(begin, close + tags.close.size());
        }
        first_open = std::min(first_open, lowered.find(tags.open));
    }
    AnswerPart part{.text = response.substr(begin)};
    for (const Tags& tags : reasoning_tags) {
        part.is_open |= lowered.find(tags.open, begin) != none;
    }
    // An answer that comes before its reasons.
    if (begin > 0 && first_open != none && trim(part.text).empty()) {
        part.text = response.substr(0, std::min(first_open, begin));
    }
    return part;
}

std::optional<TaggedAnswer> find_tagged_answer(std::string_view text) {
    const std::string lowered = lower(text);
    std::optional<TaggedAnswer> last;
    for (std::size_t at = lowered.find('<'); at != none; at = lowered.find('<', at + 1)) {
        const std::size_t begin = opening_end(lowered, at);
        if (begin == none) {
            continue;
        }
        const std::size_t end = closing_begin(lowered, begin);
        const std::string_view content = trim(text.substr(begin, end == none ? none : end - begin));
        if (!content.empty()) {
            last = TaggedAnswer{.text = content, .is_open = end == none};
        }
        if (end == none) {
            break;
        }
        at = end;
    }
    return last;
}

std::optional<std::string> find_json_answer(std::string_view text) {
    const std::string_view whole = without_fences(text);
    if (auto answer = read_object(whole)) {
        return answer;
    }
    const std::size_t key = find_last(lower(text), "answer\"");
    const std::size_t open = key == none ? none : text.rfind('{', key);
    const std::size_t close = key == none ? none : text.find('}', key);
    if (open == none || close == none) {
        return std::nullopt;
    }
    // Braces of LaTeX may follow within the value.
    const std::size_t last = text.rfind('}');
    if (auto answer = read_object(text.substr(open, last - open + 1))) {
        return answer;
    }
    return read_object(text.substr(open, close - open + 1));
}

}  // namespace anamnesis::eval::grading
