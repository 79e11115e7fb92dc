// SPDX-License-Identifier: Apache-2.0
#include "endpoint/message.hpp"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {
namespace {

using Text = std::optional<std::string>;

bool is_blank(const Text& text) {
    return !text || text->find_first_not_of(" \t\r\n\v\f") == std::string::npos;
}

void append(Text& text, const std::string& more) {
    text = text.value_or("") + more;
}

/// A text, or the texts of a list of parts that have it under one of the names. Nothing where there
/// is none.
Text join_texts(const Json* value, std::initializer_list<std::string_view> names) {
    if (value == nullptr) {
        return std::nullopt;
    }
    if (value->is_string()) {
        return value->as_string("text");
    }
    Text joined;
    if (value->is_array()) {
        for (const Json& part : value->as_array("parts")) {
            for (const std::string_view name : names) {
                const Json* text = part.is_object() ? part.find(name) : nullptr;
                if (text != nullptr && text->is_string()) {
                    append(joined, text->as_string(name));
                    break;
                }
            }
        }
    }
    return joined;
}

struct Parts {
    Text content;
    Text thinking;
};

/// Content is a text, or a list of parts: {"type": "text", "text": …}, and Mistral's
/// {"type": "thinking", "thinking": [{"type": "text", "text": …}]}.
Parts read_content(const Json* content) {
    Parts parts;
    if (content == nullptr || content->is_null()) {
        return parts;
    }
    if (content->is_string()) {
        parts.content = content->as_string("'content'");
        return parts;
    }
    for (const Json& part : content->as_array("'content'")) {
        if (!part.is_object()) {
            continue;
        }
        const Json* thinking = part.find("thinking");
        if (const Text text = join_texts(thinking, {"text"})) {
            append(parts.thinking, *text);
        } else if (const Json* words = part.find("text"); words != nullptr && words->is_string()) {
            append(parts.content, words->as_string("text"));
        }
    }
    return parts;
}

/// Of what servers call it, the first that says something: OpenRouter's `reasoning_details` may
/// hold what its `reasoning` leaves out.
Text find_thinking(const Json& message) {
    for (const char* name : {"reasoning_content", "reasoning", "thinking", "reasoning_details"}) {
        Text text = join_texts(message.find(name), {"text", "summary"});
        if (!is_blank(text)) {
            return text;
        }
    }
    return std::nullopt;
}

}  // namespace

bool read_message(const Json& message, language::FinishReason finish, Answer& answer) {
    Parts parts = read_content(message.find("content"));
    Text thinking = find_thinking(message);
    if (!thinking) {
        thinking = std::move(parts.thinking);
    }
    // White space is what a parser leaves after the thinking that it cut out.
    const bool has_content = !is_blank(parts.content);
    if (is_blank(thinking)) {
        answer.text = parts.content.value_or("");
        return parts.content.has_value();
    }
    if (has_content) {
        answer.text = "<think>" + *thinking + "</think>" + *parts.content;
    } else if (finish == language::FinishReason::length) {
        answer.text = "<think>" + *thinking;
    } else {
        // A parser that met no end of thinking took all of an answer for it.
        answer.text = *std::move(thinking);
        answer.was_all_thinking = true;
    }
    return true;
}

}  // namespace anamnesis::eval
