// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/chat_template.hpp"

#include "job.hpp"

namespace anamnesis::serve {

/// A text, or the ids of its tokens.
using PromptInput = std::variant<std::string, std::vector<TokenId>>;

/// What both kinds of requests say of the answers.
struct AnswerRequest {
    std::string model{};  ///< empty: the only one
    std::size_t answers = 1;
    std::optional<std::size_t> max_new_tokens{};
    Decoding decoding{};  ///< but for `max_new_tokens`
    bool has_seed = false;
    bool wants_logprobs = false;
    bool streams = false;
    bool streams_usage = false;
    bool returns_token_ids = false;
    bool reuses_prefix = true;
    std::string cache_salt{};
};

/// POST /v1/completions
struct CompletionRequest {
    AnswerRequest how{};
    std::vector<PromptInput> prompts{};
    bool echoes = false;       ///< the answer's text begins with the prompt's
    bool adds_special = true;  ///< texts begin with what the tokenizer puts before them (a BOS)
};

/// POST /v1/chat/completions
struct ChatRequest {
    AnswerRequest how{};
    Json messages{};
    language::RenderOptions rendering{};
    bool continues_last = false;  ///< the answer goes on with the last message
    bool adds_special = false;
};

/// POST /tokenize
struct TokenizeRequest {
    std::string model{};
    std::optional<std::string> text{};  ///< or messages:
    ChatRequest chat{};
    bool adds_special = false;
};

/// POST /detokenize
struct DetokenizeRequest {
    std::string model{};
    std::vector<TokenId> tokens{};
};

/// Of one request.
inline constexpr std::size_t most_prompts = 128;
inline constexpr std::size_t most_alternatives = 20;

/// Members that are not known are left alone, as OpenAI's clients send ever more of them; those
/// that are known and not supported are refused where they ask for something.
/// Errors: `malformed` for what is no JSON; `usage`, naming the member.
CompletionRequest parse_completion_request(std::string_view body);
ChatRequest parse_chat_request(std::string_view body);
TokenizeRequest parse_tokenize_request(std::string_view body);
DetokenizeRequest parse_detokenize_request(std::string_view body);

}  // namespace anamnesis::serve
