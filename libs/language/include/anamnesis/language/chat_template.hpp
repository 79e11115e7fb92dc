// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "anamnesis/base/json.hpp"

namespace anamnesis::language {

struct ChatMessage {
    std::string role;  ///< "system", "user", "assistant" or what else the template knows
    std::string content;
    std::optional<std::string> reasoning_content{};  ///< an assistant's thinking, kept apart
};

struct RenderOptions {
    bool add_generation_prompt = true;
    std::optional<bool> enable_thinking{};  ///< absent: what the template does by itself
    /// Further variables of the template by name: `tools`, `documents`, switches. Null: none.
    Json variables{};
};

/// A chat as the text that a model was trained on: the template that the checkpoint ships, run as
/// transformers' `apply_chat_template` runs it.
///
/// Source: transformers 5.23, utils/chat_template_utils.py; Jinja 3.1. docs/chat-templates.md says
/// what of the template language is known; the rest is refused by name, never guessed.
///
/// Threads: const functions may run at once.
class ChatTemplate {
public:
    /// Reads chat_template.jinja, else `chat_template` of tokenizer_config.json: one template, or
    /// several by name; or the template within a .gguf file. Of several "default" is taken, and
    /// "tool_use" where a chat has tools. Special tokens come from tokenizer_config.json and
    /// special_tokens_map.json. Errors: `not_found` where there is none, with `advice` on what to
    /// do then; those of `read`, naming the file.
    static ChatTemplate open(const std::filesystem::path& folder, std::string_view advice = {});

    /// `special_tokens` maps "bos_token" and so on to their texts.
    /// Errors: `malformed` for what breaks the grammar, `unsupported` for a tag, filter or test
    /// that
    ///         is not known, naming `name` and the line.
    static ChatTemplate read(std::string_view text,
                             std::string_view name = "chat template",
                             const Json& special_tokens = Json::object());

    /// Errors: `usage` for no messages, for a chat that the template refuses, and for what it
    /// cannot
    ///         do with this one; `unsupported`; `exhausted` for a template that never ends. All
    ///         name the template and the line.
    std::string render(std::span<const ChatMessage> messages,
                       const RenderOptions& options = {}) const;

    /// The same for messages as JSON: objects with `role`, `content` and whatever else the template
    /// reads (lists of parts, tool calls).
    std::string render(const Json& messages, const RenderOptions& options = {}) const;

    /// Whether the template reads `content` given as a list of parts
    /// (`[{"type": "text", "text": …}]`): a chat of one such message holds the text, and nothing of
    /// how the list is written.
    bool takes_content_parts() const;

private:
    struct Parts;

    std::shared_ptr<const Parts> parts_;
};

}  // namespace anamnesis::language
