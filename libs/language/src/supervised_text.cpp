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

#include "conversation.hpp"

namespace anamnesis::language {
namespace {

/// A stretch of text, supervised or only read.
struct Part {
    std::string text;
    bool is_supervised = false;
};

/// Messages as the template reads them. Content in parts is handed on where it takes such lists.
Json list_messages(const std::vector<Turn>& turns, const ChatTemplate& chat) {
    const bool has_parts = std::ranges::any_of(
        turns, [](const Turn& turn) { return turn.message.at("content").is_array(); });
    const bool takes_parts = has_parts && chat.takes_content_parts();
    Json messages = Json::array();
    for (const Turn& turn : turns) {
        Json message = turn.message;
        if (!takes_parts && message.at("content").is_array()) {
            message.set("content", turn.text);
        }
        messages.push_back(std::move(message));
    }
    return messages;
}

/// Whether a template wrote a text, but for white space around it.
bool shows(std::string_view whole, std::string_view text) {
    constexpr std::string_view blank = " \t\r\n";
    text.remove_prefix(std::min(text.find_first_not_of(blank), text.size()));
    return whole.find(text.substr(0, text.find_last_not_of(blank) + 1)) != std::string_view::npos;
}

/// A template may rewrite earlier turns, and the last one must be what is learned.
/// Errors: `unsupported`.
void require_last_answer(const Turn& turn, std::string_view whole, bool is_cut) {
    if (!turn.reasoning.empty() && !shows(whole, turn.reasoning)) {
        throw Error(ErrorKind::unsupported,
                    "the chat template does not write the 'reasoning_content' of the last answer, "
                    "which would be left out; put it into the content");
    }
    const bool is_text = turn.message.at("content").is_string();
    if (!is_cut || (is_text && !shows(whole, turn.text))) {
        throw Error(ErrorKind::unsupported,
                    "the chat template writes the last answer otherwise than it is given (many "
                    "drop what is thought before it), and what is learned would not be what the "
                    "model is asked for; write such texts without a chat template");
    }
}

/// In the template's words.
std::vector<Part> cut_chat(const Conversation& conversation, const ChatTemplate& chat) {
    const std::vector<Turn>& turns = conversation.turns;
    const Json messages = list_messages(turns, chat);
    Json variables;
    if (!conversation.tools.is_null()) {
        variables.set("tools", conversation.tools);
    }
    const auto render = [&](std::size_t count, bool asks) {
        const auto all = std::span(messages.as_array("messages")).first(count);
        return chat.render(Json(Json::Array(all.begin(), all.end())),
                           {.add_generation_prompt = asks, .variables = variables});
    };
    const std::string whole = render(turns.size(), false);
    std::vector<Part> parts;
    std::size_t done = 0;
    for (std::size_t i = 1; i < turns.size(); ++i) {
        if (!turns[i].is_learned) {
            continue;
        }
        for (const std::string& name : turns[i].calls) {
            if (!shows(whole, name)) {
                throw Error(ErrorKind::unsupported,
                            format("the chat template does not write the 'tool_calls' of an "
                                   "answer (of {}), which would be left out",
                                   in_quotes(name, 100)));
            }
        }
        const std::string before = render(i, true);
        const std::string after = render(i + 1, false);
        const bool is_cut =
            whole.starts_with(after) && after.starts_with(before) && before.size() >= done;
        if (i + 1 == turns.size()) {
            require_last_answer(turns[i], whole, is_cut);
        }
        if (is_cut) {
            parts.push_back({.text = whole.substr(done, before.size() - done)});
            parts.push_back({.text = whole.substr(before.size(), after.size() - before.size()),
                             .is_supervised = true});
            done = after.size();
        }
    }
    parts.push_back({.text = whole.substr(done)});
    return parts;
}

/// Errors: `unsupported` for what a chat template alone can write.
std::vector<Part> cut_plainly(const Conversation& conversation) {
    const auto refuse = [](const char* what) {
        throw Error(ErrorKind::unsupported,
                    format("{} would be left out without a chat template; write conversations in "
                           "the checkpoint's own (train --chat)",
                           what));
    };
    if (!conversation.tools.is_null()) {
        refuse("'tools'");
    }
    std::vector<Part> parts;
    for (const Turn& turn : conversation.turns) {
        if (!turn.calls.empty()) {
            refuse("'tool_calls'");
        }
        if (!turn.reasoning.empty()) {
            refuse("'reasoning_content'");
        }
        parts.push_back({.text = turn.text, .is_supervised = turn.is_learned});
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

/// Numbers beside `input_ids`, one for each of them.
std::vector<std::int64_t> read_integers(const Json& row,
                                        std::string_view key,
                                        const SupervisedText& text) {
    std::vector<std::int64_t> values;
    for (const Json& value : row.at(key).as_array(in_quotes(key))) {
        values.push_back(value.is_boolean() ? static_cast<std::int64_t>(value.as_boolean(key))
                                            : value.as_integer(in_quotes(key)));
    }
    if (key != "input_ids") {
        require_as_many(text, key, values.size());
    }
    return values;
}

/// Without padding, which an attention mask marks at the ends.
/// Errors: `unsupported` for a mask that hides tokens between others.
void drop_padding(SupervisedText& text, const std::vector<std::int64_t>& attention) {
    const auto is_seen = [](std::int64_t value) { return value != 0; };
    const auto first = std::ranges::find_if(attention, is_seen);
    const auto last = std::find_if(attention.rbegin(), attention.rend(), is_seen).base();
    if (first == attention.end() || !std::all_of(first, last, is_seen)) {
        throw Error(ErrorKind::unsupported,
                    "'attention_mask' hides tokens between others, or all; only padding at the "
                    "ends is left out");
    }
    const auto keep = [&](auto& values) {
        if (!values.empty()) {
            values.erase(values.begin() + (last - attention.begin()), values.end());
            values.erase(values.begin(), values.begin() + (first - attention.begin()));
        }
    };
    keep(text.ids);
    keep(text.labels);
    keep(text.weights);
}

SupervisedText read_ready_text(const Json& row) {
    for (const char* key : {"position_ids", "seq_lengths"}) {
        if (has_value(row, key)) {
            throw Error(ErrorKind::unsupported,
                        format("{} beside 'input_ids' packs several texts into a row; give each a "
                               "row of its own (train --pack packs them)",
                               in_quotes(key)));
        }
    }
    SupervisedText text;
    text.ids = read_integers(row, "input_ids", text);
    text.labels = has_value(row, "labels") ? read_integers(row, "labels", text) : text.ids;
    for (const char* mask : {"completion_mask", "assistant_masks", "loss_mask"}) {
        if (has_value(row, mask)) {
            const std::vector<std::int64_t> learned = read_integers(row, mask, text);
            for (std::size_t i = 0; i < learned.size(); ++i) {
                text.labels[i] = learned[i] == 0 ? unsupervised : text.labels[i];
            }
        }
    }
    if (has_value(row, "weights")) {
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
    if (has_value(row, "attention_mask")) {
        drop_padding(text, read_integers(row, "attention_mask", text));
    }
    return text;
}

SupervisedText read_any_form(const Json& row, const SupervisionRules& rules) {
    if (has_value(row, "input_ids")) {
        return read_ready_text(row);
    }
    const Conversation conversation = read_conversation(row);
    if (!conversation.turns.empty()) {
        const bool is_chat =
            rules.chat && (!conversation.is_exchange || rules.writes_exchanges_as_chats);
        return is_chat ? encode(cut_chat(conversation, rules.chat()), Writing::in_template, rules)
                       : encode(cut_plainly(conversation), Writing::plain, rules);
    }
    if (has_value(row, "text")) {
        return encode({{.text = row.at("text").as_string("'text'"), .is_supervised = true}},
                      Writing::plain,
                      rules);
    }
    for (const char* key : {"messages", "conversations"}) {
        if (has_value(row, key)) {
            throw Error(ErrorKind::malformed,
                        format("{} is an empty list, expected the messages of a conversation; fill "
                               "it, or leave the row out",
                               in_quotes(key)));
        }
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

void require_known_tokens(std::span<const SupervisedText> texts,
                          std::string_view source,
                          std::uint32_t vocabulary) {
    for (const SupervisedText& text : texts) {
        for (const std::vector<std::int64_t>* list : {&text.ids, &text.labels}) {
            for (const std::int64_t token : *list) {
                const bool is_no_label = list == &text.labels && token == unsupervised;
                if (!is_no_label && (token < 0 || token >= vocabulary)) {
                    throw Error(ErrorKind::mismatch,
                                format("{}: text {} has token {}, and the model's vocabulary ends "
                                       "at {}; the texts belong to another tokenizer",
                                       source,
                                       in_quotes(text.id),
                                       token,
                                       std::int64_t{vocabulary} - 1));
                }
            }
        }
    }
}

bool has_prediction(const SupervisedText& text) {
    return std::ranges::any_of(std::span(text.labels).subspan(text.labels.empty() ? 0 : 1),
                               [](std::int64_t label) { return label != unsupervised; });
}

}  // namespace anamnesis::language
