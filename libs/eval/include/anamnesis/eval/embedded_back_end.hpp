// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// How a question becomes the text of a prompt.
struct PromptForm {
    std::optional<language::ChatTemplate> chat{};  ///< absent: the input as it is
    std::optional<bool> enable_thinking{};
    Json variables{};  ///< further variables of the template; null: none

    /// The prompt followed by the answer's prefix.
    std::string render(const Question& question) const;
};

struct EmbeddedOptions {
    PromptForm form{};
    /// The pieces in which the model reads a prompt. What prompts share is read once up to a
    /// multiple of it, so that every answer is the one that the model gives to its prompt alone.
    std::size_t prefill_chunk = 512;
    std::size_t batch = 16;  ///< answers under way at once, which a model gives faster together
    /// Of the different prompts of a batch, unless one alone has more: their caches are held at
    /// once.
    std::size_t batch_tokens = 16384;
    std::size_t most_snapshots = 32;           ///< states of shared beginnings held at once
    std::size_t lookahead_bytes = 64U << 20U;  ///< prompts held to find what they share
    bool shares_prefixes = true;
};

/// A model in this process. Prompts are sorted; the state after what several have in common is
/// kept and forked.
///
/// Owner: the model must outlive it.
class EmbeddedBackEnd final : public BackEnd {
public:
    EmbeddedBackEnd(language::LanguageModel& model, EmbeddedOptions options);

    void answer(const Next& next, const Take& take, const std::stop_token& cancel) override;
    std::optional<std::size_t> context_length() const override { return model_.context_length(); }
    Json description() const override;
    std::optional<PrefillSaving> saving() const override { return saving_; }

private:
    struct Prompt {
        Question question;
        std::vector<language::TokenId> tokens;
    };
    struct Snapshot {
        std::size_t length = 0;
        std::unique_ptr<language::Sequence> sequence;
    };

    /// A prompt that is read.
    struct Ready {
        Question question;
        std::size_t tokens = 0;
        std::unique_ptr<language::Sequence> sequence;
        std::optional<double> expected_logprob;
    };

    void answer_block(std::vector<Prompt> prompts, const Take& take, const std::stop_token& cancel);
    /// The state after the prompt; on the way, snapshots at `places` are pushed.
    std::unique_ptr<language::Sequence> read(const Prompt& prompt,
                                             std::span<const std::size_t> places,
                                             std::vector<Snapshot>& snapshots,
                                             const std::stop_token& cancel);
    /// Adds equal prompts, whose state is given, to those that wait for their answers, and answers
    /// these whenever they fill a batch.
    void add_equal(std::span<Prompt> prompts,
                   const language::Sequence& state,
                   std::vector<Ready>& ready,
                   const Take& take,
                   const std::stop_token& cancel);
    /// Answers all of them together; none are left.
    void answer_ready(std::vector<Ready>& ready, const Take& take, const std::stop_token& cancel);

    language::LanguageModel& model_;
    EmbeddedOptions options_;
    PrefillSaving saving_{};
};

}  // namespace anamnesis::eval
