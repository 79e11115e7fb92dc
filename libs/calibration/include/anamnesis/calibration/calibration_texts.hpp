// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/language/supervised_text.hpp"

namespace anamnesis::calibration {

/// Texts of one side, and what a receipt says of them.
struct CalibrationTexts {
    std::vector<language::SupervisedText> texts{};
    Json description{};  ///< source, sha256 of its tokens, texts, tokens, predicted tokens
};

/// Predicted tokens of all texts.
std::size_t count_predictions(const std::vector<language::SupervisedText>& texts);

/// Texts with a description; `source` says where they come from.
CalibrationTexts describe_texts(std::vector<language::SupervisedText> texts, std::string source);

/// Reads JSON lines in the forms of `train --data`; conversations are written in the chat template
/// of the checkpoint. The tokenizer is that of the checkpoint, or of another folder; rows of
/// `input_ids` need none.
/// Errors: those of `language::read_supervised_lines`; `unsupported` for rows with `weights`.
CalibrationTexts read_calibration_texts(const std::filesystem::path& path,
                                        const checkpoint::Checkpoint& checkpoint,
                                        const std::optional<std::filesystem::path>& tokenizer);

}  // namespace anamnesis::calibration
