// SPDX-License-Identifier: Apache-2.0
#include "conversation.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::language {
namespace {

const std::string& read_text(const Json& row, std::string_view key) {
    return row.at(key).as_string(in_quotes(key));
}

bool has_text(const Json& row, std::string_view key) {
    return has_value(row, key) && !read_text(row, key).empty();
}

/// Errors: `unsupported` for parts that are no text.
std::string join_parts(const Json& content, std::string_view key) {
    if (!content.is_array()) {
        return content.as_string(in_quotes(key));
    }
    std::string text;
    for (const Json& part : content.as_array(in_quotes(key))) {
        const Json* type = part.is_object() ? part.find("type") : nullptr;
        if (type != nullptr && *type != Json("text")) {
            throw Error(ErrorKind::unsupported,
                        format("a part of {} is of type {}; only text is learnt",
                               in_quotes(key),
                               in_quotes(type->dump(), 60)));
        }
        if (!part.is_object() || part.find("text") == nullptr) {
            throw Error(ErrorKind::unsupported,
                        format("a part of {} is {}, which has no 'text'; only text is learnt",
                               in_quotes(key),
                               in_quotes(part.dump(), 60)));
        }
        text += read_text(part, "text");
    }
    return text;
}

/// ShareGPT's words and those of its kin, as OpenAI has them.
std::string translate_role(const std::string& word) {
    constexpr std::array<std::string_view, 8> known{
        "system", "developer", "user", "assistant", "tool", "function", "ipython", "environment"};
    constexpr std::array<std::pair<std::string_view, std::string_view>, 9> translated{
        {{"human", "user"},
         {"prompter", "user"},
         {"gpt", "assistant"},
         {"chatgpt", "assistant"},
         {"model", "assistant"},
         {"bot", "assistant"},
         {"chatbot", "assistant"},
         {"ai", "assistant"},
         {"observation", "tool"}}};
    if (std::ranges::find(known, word) != known.end()) {
        return word;
    }
    const auto* const found =
        std::ranges::find(translated, word, [](const auto& pair) { return pair.first; });
    if (found == translated.end()) {
        throw Error(ErrorKind::malformed,
                    format("the role {} is none of {}: nothing tells whether its turn is learned; "
                           "rename it",
                           in_quotes(word, 60),
                           join(std::vector<std::string>(known.begin(), known.end()), ", ")));
    }
    return std::string(found->second);
}

/// OpenAI's `weight` and Axolotl's `train`.
bool is_left_out(const Json& message) {
    if (has_value(message, "train") && !message.at("train").as_boolean("'train'")) {
        return true;
    }
    if (!has_value(message, "weight")) {
        return false;
    }
    const double weight = message.at("weight").as_double("'weight'");
    if (weight != 0.0 && weight != 1.0) {
        throw Error(ErrorKind::malformed,
                    format("the 'weight' of a message is {}, expected 0 or 1", weight));
    }
    return weight == 0.0;
}

std::vector<std::string> read_calls(const Json& message) {
    std::vector<std::string> names;
    if (has_value(message, "tool_calls")) {
        for (const Json& call : message.at("tool_calls").as_array("'tool_calls'")) {
            const Json& function = has_value(call, "function") ? call.at("function") : call;
            names.push_back(read_text(function, "name"));
        }
    }
    if (has_value(message, "function_call")) {
        names.push_back(read_text(message.at("function_call"), "name"));
    }
    return names;
}

Turn read_turn(const Json& given) {
    const std::string_view role = has_value(given, "role") ? "role" : "from";
    const std::string_view content =
        given.find("content") != nullptr || given.find("value") == nullptr ? "content" : "value";
    Turn turn{.role = translate_role(read_text(given, role)), .message = Json::object()};
    turn.calls = read_calls(given);
    const bool is_silent = !turn.calls.empty() && !has_value(given, content);
    turn.text = is_silent ? std::string() : join_parts(given.at(content), content);
    turn.message.set("role", turn.role);
    turn.message.set("content", is_silent ? Json() : given.at(content));
    for (const auto& [key, value] : given.as_object("a message")) {
        if (key != role && key != content && key != "weight" && key != "train") {
            turn.message.set(key, value);
        }
    }
    for (const char* key : {"reasoning_content", "reasoning", "thinking"}) {
        const Json* thinking = given.find(key);
        if (turn.reasoning.empty() && thinking != nullptr && thinking->is_string()) {
            turn.reasoning = thinking->as_string("thinking");
        }
    }
    turn.is_learned = turn.role == "assistant" && !is_left_out(given);
    return turn;
}

void add_turns(const Json& list, std::vector<Turn>& turns) {
    for (const Json& given : list.as_array("a conversation")) {
        turns.push_back(read_turn(given));
    }
}

void add_turn(const char* role, const std::string& text, std::vector<Turn>& turns) {
    turns.push_back({.role = role,
                     .message = Json::Object{{"role", role}, {"content", text}},
                     .text = text,
                     .is_learned = std::string_view(role) == "assistant"});
}

/// Alpaca's columns as LLaMA-Factory has them: `history` is a list of prompts and their responses.
void add_earlier_turns(const Json& row, std::vector<Turn>& turns) {
    if (has_text(row, "system")) {
        add_turn("system", read_text(row, "system"), turns);
    }
    if (!has_value(row, "history")) {
        return;
    }
    for (const Json& pair : row.at("history").as_array("'history'")) {
        const auto& sides = pair.as_array("an entry of 'history'");
        if (sides.size() != 2) {
            throw Error(ErrorKind::malformed,
                        format("an entry of 'history' has {} texts, expected a prompt and its "
                               "response",
                               sides.size()));
        }
        add_turn("user", sides.front().as_string("'history'"), turns);
        add_turn("assistant", sides.back().as_string("'history'"), turns);
    }
}

void add_exchange(const Json& row,
                  const std::string& prompt,
                  const std::string& response,
                  Conversation& conversation) {
    conversation.is_exchange = true;
    add_earlier_turns(row, conversation.turns);
    add_turn("user", prompt, conversation.turns);
    add_turn("assistant", response, conversation.turns);
}

/// TRL's prompt and completion: texts, or lists of messages.
void add_prompt(const Json& row, Conversation& conversation) {
    const bool is_completion = !has_value(row, "response") && has_value(row, "completion");
    const std::string_view response = is_completion ? "completion" : "response";
    if (!row.at("prompt").is_array()) {
        add_exchange(row, read_text(row, "prompt"), read_text(row, response), conversation);
        return;
    }
    add_turns(row.at("prompt"), conversation.turns);
    for (Turn& turn : conversation.turns) {
        turn.is_learned = false;
    }
    if (row.at(response).is_array()) {
        add_turns(row.at(response), conversation.turns);
    } else {
        add_turn("assistant", read_text(row, response), conversation.turns);
    }
}

/// A list, also where a data set holds it as the text of one.
Json read_tools(const Json& row) {
    if (!has_value(row, "tools")) {
        return {};
    }
    const Json& stated = row.at("tools");
    const bool is_text = stated.is_string();
    if (is_text && stated.as_string("'tools'").empty()) {
        return {};
    }
    Json tools = is_text ? Json::parse(stated.as_string("'tools'")) : stated;
    return tools.is_array() && tools.as_array("'tools'").empty() ? Json() : tools;
}

}  // namespace

bool has_value(const Json& row, std::string_view key) {
    const Json* value = row.find(key);
    return value != nullptr && !value->is_null();
}

Conversation read_conversation(const Json& row) {
    Conversation conversation;
    for (const char* key : {"messages", "conversations"}) {
        // Data sets of several forms leave the lists of the others empty.
        if (has_value(row, key) && !row.at(key).as_array(in_quotes(key)).empty()) {
            if (has_text(row, "system")) {
                add_turn("system", read_text(row, "system"), conversation.turns);
            }
            add_turns(row.at(key), conversation.turns);
            conversation.tools = read_tools(row);
            return conversation;
        }
    }
    if (has_value(row, "instruction")) {
        std::string prompt = read_text(row, "instruction");
        if (has_text(row, "input")) {
            prompt += "\n" + read_text(row, "input");
        }
        add_exchange(row, prompt, read_text(row, "output"), conversation);
    } else if (has_value(row, "prompt")) {
        add_prompt(row, conversation);
    } else if (has_value(row, "question")) {
        add_exchange(row, read_text(row, "question"), read_text(row, "answer"), conversation);
    }
    if (!conversation.turns.empty()) {
        conversation.tools = read_tools(row);
    }
    return conversation;
}

}  // namespace anamnesis::language
