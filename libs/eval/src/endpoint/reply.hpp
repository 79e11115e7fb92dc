// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>

#include "anamnesis/eval/back_end.hpp"

#include "endpoint/http.hpp"

namespace anamnesis::eval {

/// Worth asking again.
struct Retry {
    std::string reason;
    std::optional<std::chrono::milliseconds> wait{};  ///< where the server says how long
    int status = 0;  ///< the reply's, or that of an error in a reply that says 200; 0: no reply
};

/// Final: asking again gives the same.
struct Refusal {
    std::string reason;
    /// What every question will meet: a path or a field that the server does not know.
    bool concerns_all = false;
    /// The server understood the question: it answered with nothing, or has no room.
    bool is_understood = false;
    /// The server read another number of tokens than were sent.
    bool is_miscounted = false;
};

using Reply = std::variant<Answer, Retry, Refusal>;

/// What was sent.
struct SentPrompt {
    PromptTransport transport = PromptTransport::token_ids;
    std::optional<std::size_t> tokens{};  ///< ids that were sent
    /// Tokens of a text by our tokenizer, of which a server may make a few more or fewer.
    std::optional<std::size_t> text_tokens{};
    std::string prompt{};  ///< of a completion, as text; empty for a chat
    std::size_t max_new_tokens = 0;
    bool has_extensions = false;  ///< fields beyond OpenAI's
    bool wants_tokens = false;    ///< the answer's tokens were asked for
    const char* model_option = "--model";
};

/// What a server's reply to a completion means. A server that read another number of tokens than
/// were sent cut the prompt or added to it, which is refused; of a text, that it read clearly fewer
/// than we count is noted.
Reply read_completion(const HttpReply& reply, const SentPrompt& sent);

}  // namespace anamnesis::eval
