// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/examples.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/analysis/labelled_text.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/line_reader.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::analysis {
namespace {

using language::ChatMessage;
using language::ChatTemplate;
using OpenTemplate = std::function<ChatTemplate()>;

enum class Loss : std::uint8_t { none, all };

class ExampleReader {
public:
    ExampleReader(const language::Tokenizer& tokenizer,
                  const OpenTemplate& open_template,
                  const ExampleOptions& options)
        : tokenizer_(tokenizer), open_template_(open_template), options_(options) {}

    LabelledText read(const Json& line) {
        LabelledText text;
        if (const Json* messages = line.find("messages")) {
            append_chat(text, read_messages(*messages));
        } else if (const Json* prompt = line.find("prompt")) {
            append(text, prompt->as_string("'prompt'"), Loss::none);
            append(text, line.at("response").as_string("'response'"), Loss::all);
        } else if (const Json* whole = line.find("text")) {
            append(text, whole->as_string("'text'"), Loss::all);
        } else {
            throw Error(ErrorKind::malformed,
                        "expected 'messages', 'prompt' and 'response', or 'text'");
        }
        if (text.ids.size() > options_.most_tokens) {
            text.ids.resize(options_.most_tokens);
            text.labels.resize(options_.most_tokens);
        }
        return text;
    }

private:
    void append(LabelledText& text, std::string_view words, Loss loss) const {
        const bool counts = loss == Loss::all || options_.supervises_prompts;
        // The first piece of a text brings what the tokenizer puts before it.
        const std::vector<language::TokenId> tokens =
            text.ids.empty() ? tokenizer_.encode(words, {.adds_special = true})
                             : tokenizer_.encode(words);
        for (const language::TokenId token : tokens) {
            text.ids.push_back(token);
            text.labels.push_back(counts ? token : unsupervised);
        }
    }

    static std::vector<ChatMessage> read_messages(const Json& json) {
        std::vector<ChatMessage> messages;
        for (const Json& message : json.as_array("'messages'")) {
            ChatMessage one{.role = message.at("role").as_string("'role'"),
                            .content = message.at("content").as_string("'content'")};
            if (const Json* thinking = message.find("reasoning_content");
                thinking != nullptr && thinking->is_string()) {
                one.reasoning_content = thinking->as_string("'reasoning_content'");
            }
            messages.push_back(std::move(one));
        }
        return messages;
    }

    /// Turn by turn: up to an assistant's words without loss, its words with.
    void append_chat(LabelledText& text, const std::vector<ChatMessage>& messages) {
        if (!template_) {
            template_ = open_template_();
        }
        std::string written;
        for (std::size_t i = 0; i < messages.size(); ++i) {
            if (messages[i].role != "assistant") {
                continue;
            }
            const auto shown = std::span(messages);
            std::string before = template_->render(shown.first(i), {.add_generation_prompt = true});
            std::string behind =
                template_->render(shown.first(i + 1), {.add_generation_prompt = false});
            if (!before.starts_with(written)) {
                // The template rewrites earlier turns (drops their thinking): they are prompt now.
                text = {};
                written.clear();
            }
            if (!behind.starts_with(before)) {
                throw Error(ErrorKind::malformed,
                            format("the chat template writes message {} not behind its own prompt "
                                   "for it, so its tokens cannot be told apart",
                                   i + 1));
            }
            append(text, std::string_view(before).substr(written.size()), Loss::none);
            append(text, std::string_view(behind).substr(before.size()), Loss::all);
            written = std::move(behind);
        }
    }

    const language::Tokenizer& tokenizer_;
    const OpenTemplate& open_template_;
    const ExampleOptions& options_;
    std::optional<ChatTemplate> template_;
};

std::string id_of(const Json& line, std::size_t number) {
    const Json* id = line.find("id");
    if (id == nullptr || id->is_null()) {
        return format("{}", number);
    }
    return id->is_string() ? id->as_string("'id'") : id->dump();
}

}  // namespace

std::vector<Example> read_examples(const std::filesystem::path& path,
                                   const language::Tokenizer& tokenizer,
                                   const OpenTemplate& open_template,
                                   const ExampleOptions& options) {
    eval::JsonLineReader lines(path);
    ExampleReader reader(tokenizer, open_template, options);
    std::vector<Example> examples;
    Json line;
    while ((options.most_examples == 0 || examples.size() < options.most_examples) &&
           lines.next(line)) {
        Example example = in_context(
            [&] { return format("reading {}", lines.place()); },
            [&] { return Example{.id = id_of(line, lines.number()), .text = reader.read(line)}; });
        if (prediction_count(example.text) > 0) {
            examples.push_back(std::move(example));
        }
    }
    if (examples.empty()) {
        throw Error(ErrorKind::mismatch,
                    format("no example of {} has a token to predict", in_quotes(path.string())));
    }
    return examples;
}

}  // namespace anamnesis::analysis
