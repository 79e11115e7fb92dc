// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// How prompts are to travel to a server.
enum class TransportChoice : std::uint8_t { automatic, token_ids, text, chat };
inline constexpr std::array<Word<TransportChoice>, 4> transport_choice_words{{
    {TransportChoice::automatic, "auto"},
    {TransportChoice::token_ids, "tokens"},
    {TransportChoice::text, "text"},
    {TransportChoice::chat, "chat"},
}};

/// Asks a server the trial question and gives back the options under which it answers.
///
/// `automatic` tries token ids, then text, then a chat, each with fields beyond OpenAI's (unless
/// `options.sends_extensions` forbids them) and without, and takes the first that is answered. Any
/// other choice is tried once. A server that wants `max_completion_tokens` gets it. What passes (no
/// connection, 408, 425, 429, 502 to 504) is waited for, with a line as soon as it begins. A run
/// that goes on keeps its transport, and nothing is asked.
///
/// Errors: `io` where no way is answered, with what the server said of each; `mismatch` for a
///         choice other than that of the earlier run; `cancelled` after a stop; as
///         `EndpointBackEnd`.
EndpointOptions find_transport(EndpointOptions options,
                               TransportChoice choice,
                               const language::Tokenizer* tokenizer,
                               const EngineOpening& opening);

/// The engine of a server, by the transport that is found. The tokenizer must outlive it.
/// Errors: as `find_transport`.
Engine open_server(EndpointOptions options,
                   TransportChoice choice,
                   const language::Tokenizer* tokenizer,
                   const EngineOpening& opening);

/// "token ids, with fields beyond OpenAI's"
std::string describe_transport(const EndpointOptions& options);

}  // namespace anamnesis::eval
