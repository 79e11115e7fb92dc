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
        check_tool_calls();
        return with_content();
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

    void check_tool_calls() const {
        const Json* calls = find("tool_calls");
        const bool is_list =
            calls == nullptr ||
            (calls->is_array() &&
             std::ranges::all_of(calls->as_array("'tool_calls'"), &Json::is_object));
        if (!is_list) {
            refuse_member("tool_calls", "a list of objects", *calls, name_);
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
        for (const Json& part : content->as_array("'content'")) {
            const Json* words = part.find("text");
            if (words == nullptr || !words->is_string()) {
                refuse_member("content",
                              R"(a text, or a list of {"type": "text", "text": ...})",
                              part,
                              name_);
            }
            text += words->as_string("'text'");
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
