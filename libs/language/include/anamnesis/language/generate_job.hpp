// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::language {

/// Prompts that a model goes on from.
struct GenerateJob {
    std::optional<ChatTemplate> chat{};  ///< prompts are turns of a user; absent: texts as they are
    std::string system{};                ///< of a chat
    RenderOptions rendering{};
    DecodingOptions how{};  ///< `cancel` is the watch's
};

/// What a call took.
struct GenerateTiming {
    std::size_t prompt_tokens = 0;
    double prefill_seconds = 0.0;
    std::size_t new_tokens = 0;
    double decode_seconds = 0.0;
};

struct GeneratedAnswers {
    std::vector<Generation> answers;         ///< one for each prompt
    std::vector<std::size_t> prompt_tokens;  ///< of each prompt
    GenerateTiming timing{};

    /// Adds those of a later turn.
    void append(GeneratedAnswers turn);

    /// A stop ended some of them.
    bool is_interrupted() const;
};

/// Answers every prompt once, all of them in step. A text that is no chat begins with what the
/// tokenizer puts before it (a BOS, say).
/// Errors: `usage` for a prompt without tokens; those of the template and of the model.
GeneratedAnswers answer_prompts(LanguageModel& model,
                                const std::vector<std::string>& prompts,
                                const GenerateJob& job,
                                const Watch& watch);

/// Answers the last turn of a chat and adds the answer to it.
GeneratedAnswers answer_turn(LanguageModel& model,
                             std::vector<ChatMessage>& messages,
                             const GenerateJob& job,
                             const Watch& watch);

/// What comes before the first turn: the system text, where there is one.
std::vector<ChatMessage> open_chat(const GenerateJob& job);

Json to_json(const GeneratedAnswers& answers, bool has_logprobs);
/// One line: tokens and their rates.
std::string to_text(const GenerateTiming& timing);

/// The answers for a terminal, numbered where there are several; with `has_logprobs` a line for
/// each token. A single answer is written as it comes, and only its end is here.
std::string to_text(const GeneratedAnswers& answers, const LanguageModel& model, bool has_logprobs);

}  // namespace anamnesis::language
