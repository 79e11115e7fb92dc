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
    std::size_t batch = 16;                    ///< answers to one prompt under way at once
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

    void answer_block(std::vector<Prompt> prompts, const Take& take, const std::stop_token& cancel);
    /// The state after the prompt; on the way, snapshots at `places` are pushed.
    std::unique_ptr<language::Sequence> read(const Prompt& prompt,
                                             std::span<const std::size_t> places,
                                             std::vector<Snapshot>& snapshots,
                                             const std::stop_token& cancel);
    /// Answers to equal prompts, from one state.
    void answer_equal(std::span<const Prompt> prompts,
                      const language::Sequence& state,
                      const Take& take,
                      const std::stop_token& cancel);

    language::LanguageModel& model_;
    EmbeddedOptions options_;
    PrefillSaving saving_{};
};

}  // namespace anamnesis::eval
