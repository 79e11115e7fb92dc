// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"

namespace anamnesis::language {

/// A message of a chat, or one side of an exchange.
struct Turn {
    std::string role{};                ///< in OpenAI's words
    Json message{};                    ///< for a chat template: all members that the row has
    std::string text{};                ///< its content as one text
    std::string reasoning{};           ///< what an assistant thought, kept apart; may be empty
    std::vector<std::string> calls{};  ///< names of the tools that it calls
    bool is_learned = false;           ///< an assistant's, unless the row says otherwise
};

struct Conversation {
    std::vector<Turn> turns{};  ///< empty where the row holds none
    Json tools{};               ///< what the template is told of tools; null: nothing
    bool is_exchange = false;   ///< a prompt and its response, not a list of messages
};

/// Reads `messages` or `conversations` (role and content, or ShareGPT's from and value), TRL's
/// `prompt` and `completion` as lists of messages or as texts, Alpaca's columns with `system` and
/// `history`, `question` and `answer`. Content is a text or OpenAI's list of text parts. A message
/// is not learned where its `weight` is 0 or its `train` is false. Errors: `malformed` for a role
/// that is not known, and for members of another type;
///         `unsupported` for content that is no text.
Conversation read_conversation(const Json& row);

/// Whether a row has something under a key that is not null.
bool has_value(const Json& row, std::string_view key);

}  // namespace anamnesis::language
