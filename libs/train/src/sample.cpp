// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/sample.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {
namespace {

using language::ChatMessage;

/// A stretch of text, learned or only read.
struct Part {
    std::string text;
    bool is_learned = false;
};

bool has(const Json& row, std::string_view key) {
    const Json* value = row.find(key);
    return value != nullptr && !value->is_null();
}

const std::string& text_of(const Json& row, std::string_view key) {
    return row.at(key).as_string(key);
}

std::string role_of(const std::string& word) {
    if (word == "human") {
        return "user";
    }
    return word == "gpt" ? "assistant" : word;
}

std::vector<ChatMessage> messages_of(const Json& turns,
                                     std::string_view role,
                                     std::string_view content) {
    std::vector<ChatMessage> messages;
    for (const Json& turn : turns.as_array("a conversation")) {
        messages.push_back(
            {.role = role_of(text_of(turn, role)), .content = text_of(turn, content)});
    }
    return messages;
}

std::vector<ChatMessage> exchange(std::string prompt, std::string response) {
    return {{.role = "user", .content = std::move(prompt)},
            {.role = "assistant", .content = std::move(response)}};
}

/// The conversation that a row holds; empty where it holds none.
std::vector<ChatMessage> conversation_of(const Json& row) {
    if (has(row, "messages")) {
        return messages_of(row.at("messages"), "role", "content");
    }
    if (has(row, "conversations")) {
        return messages_of(row.at("conversations"), "from", "value");
    }
    if (has(row, "instruction")) {
        std::string prompt = text_of(row, "instruction");
        if (has(row, "input") && !text_of(row, "input").empty()) {
            prompt += "\n" + text_of(row, "input");
        }
        return exchange(std::move(prompt), text_of(row, "output"));
    }
    if (has(row, "prompt")) {
        return exchange(text_of(row, "prompt"),
                        text_of(row, has(row, "response") ? "response" : "completion"));
    }
    if (has(row, "question")) {
        return exchange(text_of(row, "question"), text_of(row, "answer"));
    }
    return {};
}

/// In the template's words. A template may rewrite earlier turns when later ones come (Qwen3 drops
/// their thinking); such a turn is read, not learned.
std::vector<Part> parts_in_template(const std::vector<ChatMessage>& messages,
                                    const language::ChatTemplate& chat) {
    const auto render = [&](std::size_t count, bool asks) {
        return chat.render(std::span(messages).first(count), {.add_generation_prompt = asks});
    };
    const std::string whole = render(messages.size(), false);
    std::vector<Part> parts;
    std::size_t done = 0;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        if (messages[i].role != "assistant" || i == 0) {
            continue;
        }
        const std::string before = render(i, true);
        const std::string behind = render(i + 1, false);
        if (whole.starts_with(behind) && behind.starts_with(before) && before.size() >= done) {
            parts.push_back({.text = whole.substr(done, before.size() - done)});
            parts.push_back({.text = whole.substr(before.size(), behind.size() - before.size()),
                             .is_learned = true});
            done = behind.size();
        }
    }
    parts.push_back({.text = whole.substr(done)});
    return parts;
}

std::vector<Part> plain_parts(const std::vector<ChatMessage>& messages) {
    std::vector<Part> parts;
    for (const ChatMessage& message : messages) {
        parts.push_back({.text = message.content, .is_learned = message.role == "assistant"});
    }
    return parts;
}

Sample encode(const std::vector<Part>& parts, const EncodingRules& rules) {
    if (rules.tokenizer == nullptr) {
        throw Error(ErrorKind::usage, "text needs a tokenizer beside the checkpoint");
    }
    Sample sample;
    const auto add = [&](std::int64_t id, bool is_learned) {
        sample.ids.push_back(id);
        sample.labels.push_back(is_learned || rules.learns_prompts ? id : no_label);
    };
    for (std::size_t i = 0; i < parts.size(); ++i) {
        // The template spells its special tokens out; contents without one begin as a text does.
        const auto tokens = rules.tokenizer->encode(
            parts[i].text, {.adds_special = i == 0 && !rules.chat.has_value()});
        for (const language::TokenId id : tokens) {
            add(id, parts[i].is_learned);
        }
        if (parts[i].is_learned && !rules.chat && rules.end_of_text) {
            add(*rules.end_of_text, true);
        }
    }
    return sample;
}

Sample ready_sample(const Json& row) {
    const auto integers = [&](std::string_view key) {
        std::vector<std::int64_t> values;
        for (const Json& value : row.at(key).as_array(key)) {
            values.push_back(value.as_integer(key));
        }
        return values;
    };
    Sample sample{.ids = integers("input_ids")};
    sample.labels = has(row, "labels") ? integers("labels") : sample.ids;
    if (sample.labels.size() != sample.ids.size()) {
        throw Error(ErrorKind::malformed,
                    format("'input_ids' has {} entries, 'labels' {}",
                           sample.ids.size(),
                           sample.labels.size()));
    }
    if (has(row, "weights")) {
        for (const Json& value : row.at("weights").as_array("weights")) {
            const double weight = value.as_double("weights");
            if (!(weight >= 0.0) || weight > 1e6) {
                throw Error(ErrorKind::malformed,
                            format("'weights' holds {}, expected 0 to 1e6", weight));
            }
            sample.weights.push_back(static_cast<float>(weight));
        }
        if (sample.weights.size() != sample.ids.size()) {
            throw Error(ErrorKind::malformed,
                        format("'input_ids' has {} entries, 'weights' {}",
                               sample.ids.size(),
                               sample.weights.size()));
        }
    }
    return sample;
}

}  // namespace

Sample sample_of(const Json& row, const EncodingRules& rules) {
    Sample sample;
    if (has(row, "input_ids")) {
        sample = ready_sample(row);
    } else if (const auto messages = conversation_of(row); !messages.empty()) {
        sample = encode(
            rules.chat ? parts_in_template(messages, *rules.chat) : plain_parts(messages), rules);
    } else if (has(row, "text")) {
        EncodingRules plain = rules;
        plain.chat.reset();
        sample = encode({{.text = text_of(row, "text"), .is_learned = true}}, plain);
    } else {
        throw Error(ErrorKind::malformed,
                    "the row has none of: messages, conversations, instruction, prompt, question, "
                    "text, input_ids");
    }
    if (rules.longest > 0 && sample.ids.size() > rules.longest) {
        sample.ids.resize(rules.longest);
        sample.labels.resize(rules.longest);
        if (!sample.weights.empty()) {
            sample.weights.resize(rules.longest);
        }
    }
    return sample;
}

std::vector<Sample> read_samples(const std::filesystem::path& path, const EncodingRules& rules) {
    std::vector<Sample> samples;
    std::size_t number = 0;
    for (const std::string& line : split(io::read_text(path, std::uint64_t{8} << 30U), '\n')) {
        ++number;
        if (line.find_first_not_of(" \t\r") == std::string::npos) {
            continue;
        }
        Sample sample =
            in_context([&] { return format("reading {}, line {}", path.string(), number); },
                       [&] { return sample_of(Json::parse(line), rules); });
        const bool is_supervised =
            std::ranges::any_of(std::span(sample.labels).subspan(sample.labels.empty() ? 0 : 1),
                                [](std::int64_t label) { return label != no_label; });
        // A sample that was cut before its response teaches nothing.
        if (is_supervised) {
            samples.push_back(std::move(sample));
        }
    }
    if (samples.empty()) {
        throw Error(
            ErrorKind::malformed,
            format("{} has no row with a supervised token", in_quotes(path.string(), 1000)));
    }
    return samples;
}

}  // namespace anamnesis::train
