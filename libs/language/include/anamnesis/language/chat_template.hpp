// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace anamnesis::language {

struct ChatMessage {
    std::string role;  ///< "system", "user" or "assistant"
    std::string content;
    std::optional<std::string> reasoning_content{};  ///< an assistant's thinking, kept apart
};

struct RenderOptions {
    bool add_generation_prompt = true;
    std::optional<bool> enable_thinking{};  ///< absent: what the template does by itself
};

/// A chat as the text that a model was trained on. Templates are recognised, not interpreted.
class ChatTemplate {
public:
    enum class Form : std::uint8_t {
        chatml,   ///< every message alike, no system text by default
        qwen2_5,  ///< with a system text by default; Jet-Nemotron's too
        qwen3,    ///< earlier thinking is dropped; a thinking switch
        qwen3_5,  ///< contents trimmed; from memory of the published template, not checked
        llama3,   ///< Meta's headers, the first with <|begin_of_text|>
    };

    /// Reads chat_template.jinja, else `chat_template` of tokenizer_config.json.
    /// Errors: `not_found` where there is none; `unsupported`, naming the file, where it is none of
    ///         the forms.
    static ChatTemplate open(const std::filesystem::path& folder);

    /// Recognises the text of a template. Errors: `unsupported`, naming `name`.
    static ChatTemplate read(std::string_view text, std::string_view name = "chat template");

    /// A form without a file, with the base models' default system text.
    static ChatTemplate of_form(Form form);

    Form form() const { return form_; }
    const std::string& default_system_text() const& { return system_; }
    const std::string& default_system_text() const&& = delete;

    /// Errors: `usage` for no messages, or an order of roles that the template refuses;
    ///         `unsupported` for roles other than the three (tool calls, say).
    std::string render(std::span<const ChatMessage> messages,
                       const RenderOptions& options = {}) const;

private:
    Form form_ = Form::chatml;
    std::string system_{};          // used where there is no system message
    bool thinks_by_itself_ = true;  // qwen3_5 without a switch
};

}  // namespace anamnesis::language
