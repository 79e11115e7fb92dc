// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/supervised_text.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/line_reader.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {
namespace {

/// A stretch of text, supervised or only read.
struct Part {
    std::string text;
    bool is_supervised = false;
};

bool has(const Json& row, std::string_view key) {
    const Json* value = row.find(key);
    return value != nullptr && !value->is_null();
}

const std::string& read_text(const Json& row, std::string_view key) {
    return row.at(key).as_string(in_quotes(key));
}

/// A message of a chat. Its content is a text or a list of parts {"type": "text", "text": …}, as
/// OpenAI's interface writes it; `text` is the content as one text.
struct Turn {
    std::string role;
    Json content;
    std::string text;
    std::optional<std::string> reasoning{};
};

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

std::string translate_role(const std::string& word) {
    if (word == "human") {
        return "user";
    }
    return word == "gpt" ? "assistant" : word;
}

std::vector<Turn> read_turns(const Json& turns, std::string_view role, std::string_view content) {
    std::vector<Turn> messages;
    for (const Json& turn : turns.as_array("a conversation")) {
        Turn message{.role = translate_role(read_text(turn, role)),
                     .content = turn.at(content),
                     .text = join_parts(turn.at(content), content)};
        if (const Json* thinking = turn.find("reasoning_content");
            thinking != nullptr && thinking->is_string()) {
            message.reasoning = thinking->as_string("'reasoning_content'");
        }
        messages.push_back(std::move(message));
    }
    return messages;
}

std::vector<Turn> make_exchange(const std::string& prompt, const std::string& response) {
    return {{.role = "user", .content = prompt, .text = prompt},
            {.role = "assistant", .content = response, .text = response}};
}

/// Empty where the row holds none.
std::vector<Turn> read_conversation(const Json& row) {
    if (has(row, "messages")) {
        return read_turns(row.at("messages"), "role", "content");
    }
    if (has(row, "conversations")) {
        return read_turns(row.at("conversations"), "from", "value");
    }
    return {};
}

/// A prompt and its response; empty where the row holds none.
std::vector<Turn> read_exchange(const Json& row) {
    if (has(row, "instruction")) {
        std::string prompt = read_text(row, "instruction");
        if (has(row, "input") && !read_text(row, "input").empty()) {
            prompt += "\n" + read_text(row, "input");
        }
        return make_exchange(prompt, read_text(row, "output"));
    }
    if (has(row, "prompt")) {
        const bool is_completion = !has(row, "response") && has(row, "completion");
        return make_exchange(read_text(row, "prompt"),
                             read_text(row, is_completion ? "completion" : "response"));
    }
    if (has(row, "question")) {
        return make_exchange(read_text(row, "question"), read_text(row, "answer"));
    }
    return {};
}

/// Messages as the template reads them. Content in parts is handed on where it takes such lists.
Json list_messages(const std::vector<Turn>& turns, const ChatTemplate& chat) {
    const bool has_parts =
        std::ranges::any_of(turns, [](const Turn& turn) { return turn.content.is_array(); });
    const bool takes_parts = has_parts && chat.takes_content_parts();
    Json messages = Json::array();
    for (const Turn& turn : turns) {
        Json message = Json::object();
        message.set("role", turn.role);
        message.set("content", takes_parts ? turn.content : Json(turn.text));
        if (turn.reasoning) {
            message.set("reasoning_content", *turn.reasoning);
        }
        messages.push_back(std::move(message));
    }
    return messages;
}

/// In the template's words.
std::vector<Part> cut_chat(const std::vector<Turn>& turns, const ChatTemplate& chat) {
    const Json messages = list_messages(turns, chat);
    const auto render = [&](std::size_t count, bool asks) {
        const auto all = std::span(messages.as_array("messages")).first(count);
        return chat.render(Json(Json::Array(all.begin(), all.end())),
                           {.add_generation_prompt = asks});
    };
    const std::string whole = render(turns.size(), false);
    std::vector<Part> parts;
    std::size_t done = 0;
    for (std::size_t i = 0; i < turns.size(); ++i) {
        if (turns[i].role != "assistant" || i == 0) {
            continue;
        }
        const std::string before = render(i, true);
        const std::string after = render(i + 1, false);
        if (whole.starts_with(after) && after.starts_with(before) && before.size() >= done) {
            parts.push_back({.text = whole.substr(done, before.size() - done)});
            parts.push_back({.text = whole.substr(before.size(), after.size() - before.size()),
                             .is_supervised = true});
            done = after.size();
        }
    }
    parts.push_back({.text = whole.substr(done)});
    return parts;
}

std::vector<Part> cut_plainly(const std::vector<Turn>& turns) {
    std::vector<Part> parts;
    for (const Turn& turn : turns) {
        parts.push_back({.text = turn.text, .is_supervised = turn.role == "assistant"});
    }
    return parts;
}

enum class Writing : std::uint8_t { plain, in_template };

SupervisedText encode(const std::vector<Part>& parts,
                      Writing writing,
                      const SupervisionRules& rules) {
    if (rules.tokenizer == nullptr) {
        throw Error(ErrorKind::usage, "text needs a tokenizer beside the checkpoint");
    }
    SupervisedText text;
    const auto add = [&](std::int64_t id, bool is_supervised) {
        text.ids.push_back(id);
        text.labels.push_back(is_supervised || rules.supervises_prompts ? id : unsupervised);
    };
    const bool is_plain = writing == Writing::plain;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        // A template spells its special tokens out; contents without one begin as a text does.
        for (const TokenId id :
             rules.tokenizer->encode(parts[i].text, {.adds_special = i == 0 && is_plain})) {
            add(id, parts[i].is_supervised);
        }
        if (parts[i].is_supervised && is_plain && rules.end_of_text) {
            add(*rules.end_of_text, true);
        }
    }
    return text;
}

void require_as_many(const SupervisedText& text, std::string_view key, std::size_t count) {
    if (count != text.ids.size()) {
        throw Error(ErrorKind::malformed,
                    format("'input_ids' has {} entries, '{}' {}", text.ids.size(), key, count));
    }
}

SupervisedText read_ready_text(const Json& row) {
    const auto read_integers = [&](std::string_view key) {
        std::vector<std::int64_t> values;
        for (const Json& value : row.at(key).as_array(in_quotes(key))) {
            values.push_back(value.as_integer(in_quotes(key)));
        }
        return values;
    };
    SupervisedText text{.ids = read_integers("input_ids")};
    text.labels = has(row, "labels") ? read_integers("labels") : text.ids;
    require_as_many(text, "labels", text.labels.size());
    if (has(row, "weights")) {
        for (const Json& value : row.at("weights").as_array("'weights'")) {
            const double weight = value.as_double("'weights'");
            if (!(weight >= 0.0) || weight > 1e6) {
                throw Error(ErrorKind::malformed,
                            format("'weights' holds {}, expected 0 to 1e6", weight));
            }
            text.weights.push_back(static_cast<float>(weight));
        }
        require_as_many(text, "weights", text.weights.size());
    }
    return text;
}

SupervisedText read_any_form(const Json& row, const SupervisionRules& rules) {
    if (has(row, "input_ids")) {
        return read_ready_text(row);
    }
    std::vector<Turn> messages = read_conversation(row);
    bool is_chat = static_cast<bool>(rules.chat);
    if (messages.empty()) {
        messages = read_exchange(row);
        is_chat = is_chat && rules.writes_exchanges_as_chats;
    }
    if (!messages.empty()) {
        return is_chat ? encode(cut_chat(messages, rules.chat()), Writing::in_template, rules)
                       : encode(cut_plainly(messages), Writing::plain, rules);
    }
    if (has(row, "text")) {
        return encode(
            {{.text = read_text(row, "text"), .is_supervised = true}}, Writing::plain, rules);
    }
    throw Error(ErrorKind::malformed,
                "the row has none of: messages, conversations, instruction, prompt, question, "
                "text, input_ids");
}

std::string read_id(const Json& row) {
    const Json* id = row.find("id");
    if (id == nullptr || id->is_null()) {
        return {};
    }
    return id->is_string() ? id->as_string("'id'") : id->dump();
}

}  // namespace

SupervisedText read_supervised_row(const Json& row, const SupervisionRules& rules) {
    SupervisedText text = read_any_form(row, rules);
    text.id = read_id(row);
    if (rules.longest > 0 && text.ids.size() > rules.longest) {
        text.ids.resize(rules.longest);
        text.labels.resize(rules.longest);
        if (!text.weights.empty()) {
            text.weights.resize(rules.longest);
        }
    }
    return text;
}

std::vector<SupervisedText> read_supervised_lines(const std::filesystem::path& path,
                                                  const SupervisionRules& rules,
                                                  std::size_t most) {
    io::JsonLineReader lines(path);
    std::vector<SupervisedText> texts;
    Json row;
    while ((most == 0 || texts.size() < most) && lines.next(row)) {
        SupervisedText text = in_context([&] { return format("reading {}", lines.place()); },
                                         [&] { return read_supervised_row(row, rules); });
        if (text.id.empty()) {
            text.id = format("{}", lines.number());
        }
        if (has_prediction(text)) {
            texts.push_back(std::move(text));
        }
    }
    if (texts.empty()) {
        throw Error(
            ErrorKind::mismatch,
            format("{} has no row with a token to predict", in_quotes(path.string(), 1000)));
    }
    return texts;
}

bool has_prediction(const SupervisedText& text) {
    return std::ranges::any_of(std::span(text.labels).subspan(text.labels.empty() ? 0 : 1),
                               [](std::int64_t label) { return label != unsupervised; });
}

}  // namespace anamnesis::language
