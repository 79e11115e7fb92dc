// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::serve {

/// A checkpoint under the name that requests give in `model`.
struct ServedModel {
    std::string name;
    std::unique_ptr<runtime::HybridModel> model{};
    std::optional<language::ChatTemplate> chat{};  ///< absent: chats are refused
};

struct ServeOptions {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;                          ///< 0: one that is free
    std::string api_key{};                           ///< asked for as a bearer token; empty: none
    std::size_t body_bytes = std::size_t{4} << 20U;  ///< the largest body of a request
    std::size_t sequences = 16;                      ///< answers that one model makes at once
    std::size_t waiting = 64;  ///< prompts that may wait for one model before 429
    std::size_t block = 256;   ///< tokens of a prompt read at once; prefixes are kept in blocks
    std::size_t prompt_tokens = 1024;  ///< read between two steps of the answers, in whole blocks
    /// Of caches and states of all models, kept prefixes included; 0: a quarter of the machine's.
    std::uint64_t state_bytes = 0;
    std::chrono::seconds drain{10};  ///< that answers under way get once a stop was asked for
};

/// Answers requests in OpenAI's protocol until the watch stops it, then refuses new ones and lets
/// those under way end within `drain`. `listening` is told the URL once requests are taken.
/// docs/serve.md says what is served.
///
/// Errors: `usage` for no model, two of one name, a model without a tokenizer or an option out of
///         its range; `io` where the address cannot be taken.
void serve(std::vector<ServedModel> models,
           const ServeOptions& options,
           const std::function<void(std::string_view url)>& listening,
           const Watch& watch);

}  // namespace anamnesis::serve
