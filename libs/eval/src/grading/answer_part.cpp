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

constexpr auto answer_names = std::to_array<std::string_view>(
    {"answer", "final_answer", "final-answer", "finalanswer", "solution", "result"});

/// In lower case: what ends a turn, written out by an engine that does not leave it out.
constexpr auto ends_of_text = std::to_array<std::string_view>({"<|im_end|>",
                                                               "<|endoftext|>",
                                                               "<|eot_id|>",
                                                               "<|end_of_text|>",
                                                               "<|end_of_turn|>",
                                                               "<|eom_id|>",
                                                               "<|end|>",
                                                               "<|return|>",
                                                               "<|eos|>",
                                                               "<end_of_turn>",
                                                               "<｜end▁of▁sentence｜>",
                                                               "<eos>",
                                                               "</s>",
                                                               "[eos]",
                                                               "[/s]"});

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
        if (lowered[after] == (lowered[position] == '<' ? '>' : ']')) {
            return after + 1;
        }
        const std::size_t close = lowered.substr(0, after + longest_tag).find('>', after);
        if (lowered[position] == '<' && lowered[after] == ' ' && close != none) {
            return close + 1;
        }
    }
    return none;
}

std::size_t closing_begin(std::string_view lowered, std::size_t from) {
    for (std::size_t at = lowered.find('/', from); at != none; at = lowered.find('/', at + 1)) {
        const bool is_tag = lowered[at - 1] == '<' || lowered[at - 1] == '[';
        if (is_tag && std::ranges::any_of(answer_names, [&](std::string_view name) {
                return lowered.substr(at + 1).starts_with(name);
            })) {
            return at - 1;
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

/// The last "answer" between quotes.
std::size_t find_key(std::string_view text) {
    const std::string lowered = lower(text);
    const std::size_t key = find_last(lowered, "answer\"");
    return key == none ? find_last(lowered, "answer'") : key;
}

std::optional<std::string> read_object(std::string_view text) {
    if (text.size() > largest_object || !text.starts_with('{') || !text.ends_with('}')) {
        return std::nullopt;
    }
    std::string json = with_backslashes_escaped(text);
    if (json.find('"') == std::string::npos) {
        std::ranges::replace(json, '\'', '"');  // as Python prints it
    }
    try {
        const Json object = Json::parse(json);
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

std::string_view without_end_of_text(std::string_view text) {
    const std::string lowered = lower(text);
    std::size_t end = text.size();
    for (const std::string_view token : ends_of_text) {
        const std::size_t at = lowered.find(token);
        if (at != none && !trim(text.substr(0, at)).empty()) {
            end = std::min(end, at);
        }
    }
    return text.substr(0, end);
}

std::optional<TaggedAnswer> find_tagged_answer(std::string_view text) {
    const std::string lowered = lower(text);
    std::optional<TaggedAnswer> last;
    for (std::size_t at = lowered.find_first_of("<["); at != none;
         at = lowered.find_first_of("<[", at + 1)) {
        std::size_t begin = opening_end(lowered, at);
        if (begin == none) {
            continue;
        }
        const std::size_t end = closing_begin(lowered, begin);
        // "within <answer> tags: <answer>42</answer>": the last one before the end opens it.
        for (std::size_t next = lowered.find_first_of("<[", begin); next < end;
             next = lowered.find_first_of("<[", next + 1)) {
            const std::size_t inner = opening_end(lowered, next);
            begin = inner == none ? begin : inner;
        }
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
    const std::size_t key = find_key(text);
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
