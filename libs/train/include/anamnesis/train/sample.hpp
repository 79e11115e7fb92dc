// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::train {

/// One text to learn from. Labels as in a Batch.
struct Sample {
    std::vector<std::int64_t> ids{};
    std::vector<std::int64_t> labels{};
    std::vector<float> weights{};  ///< empty: all predictions alike
};

/// How rows of text become tokens.
struct EncodingRules {
    const language::Tokenizer* tokenizer = nullptr;
    std::optional<language::ChatTemplate> chat{};    ///< absent: contents as they are
    std::optional<language::TokenId> end_of_text{};  ///< behind plain responses and texts
    bool learns_prompts = false;                     ///< else the loss is on responses only
    std::size_t longest = 0;  ///< tokens; longer samples are cut; 0: no limit
};

/// Reads one row of a JSON-lines file:
///  - `messages` (role, content) or ShareGPT's `conversations` (from, value);
///  - `prompt` and `response` (or `completion`), Alpaca's `instruction`, `input`, `output`,
///    GSM8K's `question` and `answer`;
///  - `text`, all of which is learned;
///  - `input_ids` and, if not all is learned, `labels`; if not all counts alike, `weights`.
/// In conversations the responses are the assistant's turns.
/// Errors: `malformed`, naming what is missing or of another type; `usage` where text comes without
/// a tokenizer.
Sample sample_of(const Json& row, const EncodingRules& rules);

/// Every row of a file. Errors: as `sample_of`, with file and line.
std::vector<Sample> read_samples(const std::filesystem::path& path, const EncodingRules& rules);

}  // namespace anamnesis::train
