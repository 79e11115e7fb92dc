// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::language {

/// The label of a token that no prediction is scored on (Hugging Face's convention).
inline constexpr std::int64_t unsupervised = -100;

/// A text as a model is trained on it. The prediction of `labels[t + 1]` at position t counts where
/// that label is not `unsupervised`; the first label is never predicted.
struct SupervisedText {
    std::vector<std::int64_t> ids{};
    std::vector<std::int64_t> labels{};  ///< as many
    std::vector<float> weights{};        ///< as many, of each prediction; empty: all alike
    std::string id{};                    ///< the row's own `id`, else its line's number
};

/// How rows become tokens.
struct SupervisionRules {
    const Tokenizer* tokenizer = nullptr;  ///< null: rows must bring their tokens
    /// The chat template, asked for at the first row that is written in it; empty: contents follow
    /// one another as they are.
    std::function<const ChatTemplate&()> chat{};
    bool writes_exchanges_as_chats = true;  ///< prompt and response too, not only turns
    std::optional<TokenId> end_of_text{};   ///< after plain responses and texts
    bool supervises_prompts = false;        ///< else responses alone
    std::size_t longest = 0;                ///< tokens; longer texts are cut; 0: no limit
};

/// Reads one row of a JSON-lines file of training data:
///  - `messages` (role, content, perhaps reasoning_content, tool_calls, weight) or ShareGPT's
///    `conversations` (from, value), with `tools`;
///  - `prompt` and `response` (or `completion`), texts or lists of messages; Alpaca's
///  `instruction`,
///    `input`, `output`, GSM8K's `question` and `answer`, with `system` and `history`;
///  - `text`, all of which is supervised;
///  - `input_ids` and, if not all is supervised, `labels`, `completion_mask`, `assistant_masks` or
///    `loss_mask`; if not all counts alike, `weights`; `attention_mask` marks padding.
/// In conversations the responses are the assistant's turns, with the tokens that end them; turns
/// that a template rewrites when later ones come (Qwen3 drops their thinking) are read only.
/// Errors: `malformed`, naming what is missing, of another type or a role that is not known;
///         `unsupported` for what would be left out (tool calls and thinking without a template, a
///         last answer that the template rewrites); `usage` where text comes without a tokenizer;
///         those of `chat`.
SupervisedText read_supervised_row(const Json& row, const SupervisionRules& rules);

/// The rows of a file; those left without a prediction (a prompt that fills `longest`) are skipped.
/// `most` ends it earlier; 0: all.
/// Errors: as `read_supervised_row`, naming file and line; `mismatch` where no row is left.
std::vector<SupervisedText> read_supervised_lines(const std::filesystem::path& path,
                                                  const SupervisionRules& rules,
                                                  std::size_t most = 0);

/// Errors: `mismatch` naming the text of `source` that has a token of another vocabulary.
void require_known_tokens(std::span<const SupervisedText> texts,
                          std::string_view source,
                          std::uint32_t vocabulary);

/// Whether any token is predicted.
bool has_prediction(const SupervisedText& text);

}  // namespace anamnesis::language
