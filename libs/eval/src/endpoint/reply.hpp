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
};

/// Final: asking again gives the same.
struct Refusal {
    std::string reason;
};

using Reply = std::variant<Answer, Retry, Refusal>;

/// What a server's reply to a completion means. `sent_tokens` is what we counted, where we did: a
/// server that read another number cut the prompt or added to it.
Reply read_completion(const HttpReply& reply, std::optional<std::size_t> sent_tokens);

}  // namespace anamnesis::eval
