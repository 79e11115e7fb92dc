// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::serve {

using language::TokenId;

class Channel;

/// How the answers to a prompt are made.
struct Decoding {
    std::size_t max_new_tokens = 16;
    bool is_open_ended = false;  ///< the request names no limit; `Scheduler::shorten` may lower it
    language::Sampling sampling{};  ///< answer i draws from `sampling_stream(seed, i)`
    std::vector<std::string> stop{};
    bool ignores_end_of_text = false;
    bool scores_tokens = false;    ///< tell how likely each token is
    std::size_t alternatives = 0;  ///< and how many of the likeliest tokens beside it
};

/// A prompt and the answers that are wanted to it.
struct Job {
    std::size_t prompt_index = 0;  ///< of the request's prompts
    std::vector<TokenId> prompt{};
    std::size_t first_answer = 0;  ///< index of the first answer among those of the request
    std::size_t answers = 1;
    Decoding decoding{};
    bool scores_prompt = false;  ///< tell how likely the prompt's own tokens are
    bool echoes_prompt = false;  ///< the text of the answers goes on with the prompt's
    bool reuses_prefix = true;   ///< may begin from what an earlier prompt left
    std::string cache_salt{};    ///< prefixes are shared among jobs of one salt
    std::shared_ptr<Channel> channel{};
    std::chrono::steady_clock::time_point arrived = std::chrono::steady_clock::now();
};

struct ScoredToken {
    TokenId token = 0;
    double logprob = 0.0;  ///< natural logarithm, before temperature; 0 where none was asked for
    /// The likeliest tokens, in order. The token itself may be one of them.
    std::vector<std::pair<TokenId, double>> alternatives{};
};

/// A prompt was read; its answers begin.
struct PromptRead {
    std::size_t prompt_index = 0;
    std::size_t reused_tokens = 0;
    std::vector<ScoredToken> scores{};  ///< of all tokens but the first, where they are wanted
};

struct TokenChosen {
    std::size_t answer = 0;
    ScoredToken scored{};
    std::string text{};              ///< that became certain by it
    std::size_t certain_tokens = 0;  ///< of the answer so far, which no stop string takes away
};

struct AnswerEnded {
    std::size_t answer = 0;
    language::FinishReason reason = language::FinishReason::length;
    std::string text{};              ///< that was held back
    std::string stop{};              ///< the stop string that ended it
    std::size_t tokens_in_text = 0;  ///< of those chosen, from the first
    std::size_t tokens_made = 0;     ///< with the end of text
};

/// Nothing more comes.
struct RequestFailed {
    Error error;
};

using Event = std::variant<PromptRead, TokenChosen, AnswerEnded, RequestFailed>;

}  // namespace anamnesis::serve
