// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

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

/// Errors: `usage` where both sides are the same texts, whatever their files are called.
void require_two_sides(const CalibrationTexts& recall, const CalibrationTexts& chains);

/// Reads JSON lines in the forms of `train --data`; conversations are written in the chat template
/// of the checkpoint. The tokenizer is that of the checkpoint, or of another folder; rows of
/// `input_ids` need none.
/// Errors: those of `language::read_supervised_lines`; `unsupported` for rows with `weights`.
CalibrationTexts read_calibration_texts(const std::filesystem::path& path,
                                        const checkpoint::Checkpoint& checkpoint,
                                        const std::optional<std::filesystem::path>& tokenizer);

/// RULER's single needles 1 to 3 in haystacks of 512 and 1,024 tokens (twice as many where a
/// tokenizer of short tokens does not get its words into them), each with the value that is
/// asked for: as many as the inputs of post's matrices want. The seed is not one that `niah` takes
/// by default, so that no needle of an evaluation is among them.
/// Errors: `not_found` without a tokenizer; those of the generators.
CalibrationTexts make_needle_texts(const checkpoint::RecognisedCheckpoint& post,
                                   const std::optional<std::filesystem::path>& tokenizer);

/// The texts of a file, or for the word "niah" those of `make_needle_texts`.
CalibrationTexts open_recall_texts(const std::string& source,
                                   const checkpoint::RecognisedCheckpoint& post,
                                   const std::optional<std::filesystem::path>& tokenizer);

inline constexpr std::size_t longest_own_chain = 512;  ///< tokens

/// Chains that post writes to problems, greedily, at most `longest_own_chain` tokens each; the
/// description says how many were `cut` there. A row of the file has a
/// `prompt`, `question` or `problem`; in a chat template where post has one.
/// Errors: `not_found` without a tokenizer; `malformed`, naming the row; `mismatch` where post
///         writes nothing; `unsupported` where post is an adapter; `cancelled` after a stop.
CalibrationTexts write_own_chains(const restore::Plan& plan,
                                  const std::filesystem::path& questions,
                                  const runtime::LoadOptions& running,
                                  const Watch& watch);

}  // namespace anamnesis::calibration
