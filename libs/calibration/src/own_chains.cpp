// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/line_reader.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::calibration {
namespace {

std::vector<std::string> read_questions(const std::filesystem::path& path) {
    constexpr std::array<std::string_view, 3> keys{"prompt", "question", "problem"};
    std::vector<std::string> questions;
    io::JsonLineReader lines(path);
    Json line;
    while (lines.next(line)) {
        const Json* found = nullptr;
        for (const std::string_view key : keys) {
            found = found == nullptr ? line.find(key) : found;
        }
        if (found == nullptr || !found->is_string()) {
            throw Error(ErrorKind::malformed,
                        format("{}: the row has no 'prompt', 'question' or 'problem' with a text",
                               lines.place()));
        }
        questions.push_back(found->as_string("the question"));
    }
    if (questions.empty()) {
        throw Error(ErrorKind::mismatch, format("no question in {}", in_quotes(path.string())));
    }
    return questions;
}

std::optional<language::ChatTemplate> find_template(const std::filesystem::path& folder) {
    try {
        return language::ChatTemplate::open(folder);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) {
            throw;
        }
        return std::nullopt;
    }
}

struct Chain {
    language::SupervisedText text{};
    bool is_cut = false;
};

/// What post writes to one question; nothing is predicted where it ends at once.
Chain write_chain(runtime::HybridModel& model, const std::vector<language::TokenId>& prompt) {
    const std::unique_ptr<language::Sequence> sequence = model.start();
    model.prefill(*sequence, prompt, {}, {});
    language::Sequence* const sequences[] = {sequence.get()};
    const language::Generation made =
        model.generate(sequences, {.max_new_tokens = longest_own_chain}).front();
    Chain chain{.is_cut = made.finish == language::FinishReason::length};
    language::SupervisedText& text = chain.text;
    for (const language::TokenId token : prompt) {
        text.ids.push_back(token);
        text.labels.push_back(language::unsupervised);
    }
    const auto add = [&](language::TokenId token) {
        text.ids.push_back(token);
        text.labels.push_back(token);
    };
    for (const language::TokenId token : made.tokens) {
        add(token);
    }
    if (made.end) {
        add(*made.end);
    }
    return chain;
}

}  // namespace

CalibrationTexts write_own_chains(const restore::Plan& plan,
                                  const std::filesystem::path& questions,
                                  const runtime::LoadOptions& running,
                                  const Watch& watch) {
    if (plan.adapter != nullptr) {
        throw Error(ErrorKind::unsupported,
                    "an adapter writes no chains here; give chains as a file, or merge the "
                    "adapter and let the merged checkpoint write them");
    }
    const checkpoint::RecognisedCheckpoint& post = *plan.post;
    const std::vector<std::string> asked = read_questions(questions);
    const auto model = runtime::HybridModel::load(post.checkpoint, post.model, running);
    const auto chat = find_template(running.tokenizer.value_or(post.checkpoint.folder()));
    std::vector<language::SupervisedText> texts;
    std::uint64_t cut = 0;
    watch.progress().begin("writing chains", asked.size(), ProgressUnit::samples);
    for (const std::string& question : asked) {
        throw_if_stopped(watch, [] {
            return std::string("interrupted while post writes its chains; nothing was written");
        });
        const std::array<language::ChatMessage, 1> turn{{{.role = "user", .content = question}}};
        const std::vector<language::TokenId> prompt =
            chat ? model->encode(chat->render(turn)) : model->encode_beginning(question);
        auto [text, is_cut] = write_chain(*model, prompt);
        if (language::has_prediction(text)) {
            text.id = format("{}", texts.size() + 1);
            texts.push_back(std::move(text));
            cut += is_cut ? 1U : 0U;
        }
        watch.progress().advance(1);
    }
    watch.progress().finish();
    if (texts.empty()) {
        throw Error(
            ErrorKind::mismatch,
            format("post writes nothing to the questions of {}", in_quotes(questions.string())));
    }
    CalibrationTexts chains =
        describe_texts(std::move(texts), format("own answers to {}", questions.string()));
    if (cut > 0) {
        chains.description.set("cut", cut);
    }
    return chains;
}

}  // namespace anamnesis::calibration
