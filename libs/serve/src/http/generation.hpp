// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/serve/server.hpp"

#include "channel.hpp"
#include "http/requests.hpp"
#include "job.hpp"

namespace anamnesis::serve {

/// A request made ready for the engine, and what its answers are written with.
struct Generation {
    const ServedModel* served = nullptr;
    bool is_chat = false;
    AnswerRequest how{};
    std::vector<Job> jobs{};            ///< one for each prompt
    std::vector<std::string> echoes{};  ///< the texts that answers begin with; or empty
    std::shared_ptr<Channel> channel = std::make_shared<Channel>();
    std::string id{};
    std::int64_t created = 0;  ///< seconds since 1970
    std::size_t prompt_tokens = 0;

    std::size_t count_answers() const { return jobs.size() * how.answers; }
    const std::vector<TokenId>& prompt_of(std::size_t answer) const {
        return jobs[answer / how.answers].prompt;
    }
};

/// Turns texts into tokens and checks them against the model.
/// Errors: `usage` for an empty prompt, a token outside the vocabulary, a chat that the template
///         refuses or for which there is none; `exhausted` past the model's context.
Generation make_generation(const ServedModel& served, CompletionRequest request);
Generation make_generation(const ServedModel& served, ChatRequest request);

/// Errors: `usage` for a token outside the vocabulary.
void check_vocabulary(const ServedModel& served, std::span<const TokenId> tokens);

/// A chat as text. Errors: as above.
std::string render_chat(const ServedModel& served, const ChatRequest& request);

}  // namespace anamnesis::serve
