// SPDX-License-Identifier: Apache-2.0
#include "http/messages.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "http/fields.hpp"

namespace anamnesis::serve {
namespace {

/// One message; `name` is what errors call it.
class MessageReader {
public:
    MessageReader(const Json& message, std::string name)
        : message_(message), name_(std::move(name)) {}

    Json read() const {
        if (!message_.is_object()) {
            throw Error(ErrorKind::usage,
                        format("{} is an object with a 'role', not {}",
                               name_,
                               in_quotes(message_.dump(), 60)));
        }
        check_role();
        Json message = with_content();
        if (const Json* calls = find("tool_calls")) {
            message.set("tool_calls", read_calls(*calls));
        }
        return message;
    }

private:
    /// Null where it is absent or null.
    const Json* find(const char* member) const {
        const Json* value = message_.find(member);
        return value == nullptr || value->is_null() ? nullptr : value;
    }

    void check_role() const {
        const Json* role = find("role");
        if (role == nullptr) {
            throw Error(ErrorKind::usage,
                        format("{} has no 'role'; give one, such as \"user\"", name_));
        }
        if (!role->is_string()) {
            refuse_member("role", "a text, such as \"user\"", *role, name_);
        }
    }

    /// Arguments are the text of an object in OpenAI's protocol; templates write the object.
    Json read_calls(const Json& calls) const {
        if (!calls.is_array() ||
            !std::ranges::all_of(calls.as_array("'tool_calls'"), &Json::is_object)) {
            refuse_member("tool_calls", "a list of objects", calls, name_);
        }
        Json read = Json::array();
        for (const Json& call : calls.as_array("'tool_calls'")) {
            const Json* function = call.find("function");
            const Json* arguments = function != nullptr && function->is_object()
                                        ? function->find("arguments")
                                        : nullptr;
            Json parsed = call;
            if (arguments != nullptr && arguments->is_string()) {
                Json with_object = *function;
                with_object.set("arguments", parse_arguments(*arguments));
                parsed.set("function", std::move(with_object));
            }
            read.push_back(std::move(parsed));
        }
        return read;
    }

    Json parse_arguments(const Json& given) const {
        const std::string& text = given.as_string("'arguments'");
        if (text.find_first_not_of(" \t\r\n") == std::string::npos) {
            return Json::object();
        }
        try {
            return Json::parse(text);
        } catch (const Error&) {
            refuse_member("arguments", "the text of a JSON object", given, name_);
        }
    }

    Json with_content() const {
        const Json* content = find("content");
        if (content == nullptr) {
            refuse_missing_content();
            return message_;
        }
        if (content->is_string()) {
            return message_;
        }
        if (!content->is_array()) {
            refuse_member("content", "a text or a list of texts", *content, name_);
        }
        std::string text;
        const char* between = "";
        for (const Json& part : content->as_array("'content'")) {
            const Json* words = part.find("text");
            if (words == nullptr || !words->is_string()) {
                refuse_member("content",
                              R"(a text, or a list of {"type": "text", "text": ...})",
                              part,
                              name_);
            }
            text += std::exchange(between, "\n") + words->as_string("'text'");
        }
        Json joined = message_;
        joined.set("content", std::move(text));
        return joined;
    }

    /// A model may have called tools, or only thought; what is said to it has a text.
    void refuse_missing_content() const {
        const std::string& role = message_.at("role").as_string("'role'");
        if (role == "user" || role == "system" || role == "developer") {
            throw Error(ErrorKind::usage,
                        format("{} has no 'content'; expected a text or a list of texts", name_));
        }
    }

    const Json& message_;
    std::string name_;
};

}  // namespace

Json parse_messages(const Fields& fields) {
    constexpr const char* expected = "a list of at least one message";
    const Json* value = fields.find("messages");
    if (value == nullptr) {
        throw Error(ErrorKind::usage, format("a chat needs 'messages', {}", expected));
    }
    if (!value->is_array() || value->as_array("'messages'").empty()) {
        refuse_member("messages", expected, *value);
    }
    Json messages = Json::array();
    std::size_t index = 0;
    for (const Json& message : value->as_array("'messages'")) {
        messages.push_back(MessageReader(message, format("messages[{}]", index++)).read());
    }
    return messages;
}

}  // namespace anamnesis::serve
