// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"

#include "http/generation.hpp"
#include "http/token_pieces.hpp"
#include "job.hpp"

namespace anamnesis::serve {

/// What has come of the answers of a request so far.
class Answers {
public:
    explicit Answers(const Generation& generation);

    /// Errors: what a `RequestFailed` holds.
    void add(Event event);
    bool are_complete() const { return ended_ == answers_.size(); }

    Json make_reply() const;
    Json make_usage() const;

private:
    struct Answer {
        std::string text{};
        std::vector<ScoredToken> tokens{};
        AnswerEnded end{};
    };

    Json make_choice(std::size_t index) const;
    /// `logprobs` of a completion: of the answer and, in an echo, of the prompt before it.
    Json make_columns(std::size_t index) const;

    const Generation& generation_;
    std::vector<Answer> answers_;
    std::vector<std::vector<ScoredToken>> prompt_scores_;  ///< for each prompt
    std::size_t ended_ = 0;
    std::size_t reused_tokens_ = 0;
    std::size_t new_tokens_ = 0;
};

/// The answers of a request as they come: one JSON object an event.
///
/// A token is told once it is certain that no stop string takes its text away.
class AnswerChunks {
public:
    explicit AnswerChunks(const Generation& generation);

    /// What an event adds; often nothing. Errors: what a `RequestFailed` holds.
    std::vector<Json> make_chunks(const Event& event);
    bool are_complete() const { return ended_ == generation_.count_answers(); }
    /// The chunk that comes last where the request asks for it.
    Json make_usage_chunk() const;

private:
    /// Of an answer, where its tokens are told.
    struct Telling {
        std::vector<ScoredToken> waiting{};
        std::size_t told = 0;
        std::string text{};      ///< all that was sent
        std::size_t pieces = 0;  ///< bytes of it that the told tokens make
        bool has_stopped = false;
    };

    Json make_chunk(Json::Array choices) const;
    Json make_choice(std::size_t answer, const std::string& text, Json finish) const;
    std::vector<Json> begin_answers(const PromptRead& read);
    std::vector<Json> add_token(const TokenChosen& chosen);
    /// Puts what is asked of tokens into a choice: of those of an answer that were not told, up to
    /// its first `until`. False where there is none.
    bool tell_tokens(Json& choice, std::size_t answer, std::size_t until);
    /// `logprobs` of tokens, in the form of the request's kind.
    Json make_logprobs(std::size_t answer, std::span<const ScoredToken> tokens);

    const Generation& generation_;
    std::vector<std::size_t> offsets_;  ///< of each answer's next token, in characters
    std::vector<TokenPieces> pieces_;   ///< of each answer, where its tokens are told
    std::vector<Telling> tellings_;     ///< of each answer
    std::size_t ended_ = 0;
    std::size_t reused_tokens_ = 0;
    std::size_t new_tokens_ = 0;
};

}  // namespace anamnesis::serve
