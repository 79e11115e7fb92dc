// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "endpoint/reply.hpp"

namespace anamnesis::eval {

/// A question as a server gets it.
struct CompletionRequest {
    std::string path;
    std::string body{};  ///< JSON
    SentPrompt sent{};
};

/// Errors: `usage` where prompts go as token ids and there is no tokenizer.
void require_tokenizer(PromptTransport transport, const language::Tokenizer* tokenizer);

/// Writes a question for the transport and the fields that the options name. The tokenizer is
/// needed for token ids alone.
CompletionRequest make_request(const Question& question,
                               const EndpointOptions& options,
                               const language::Tokenizer* tokenizer);

}  // namespace anamnesis::eval
