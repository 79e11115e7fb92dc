// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace anamnesis::reproduction {

/// Writes the pair that ships with the project to `folder`/pre and `folder`/post, with config and
/// tokenizer: a small hybrid before and after fine-tuning on chains of thought, made by
/// `anamnesis reproduce` (libs/reproduction/data/README.md). Folders that hold it already stay.
/// Errors: `usage` where something else is in the way, and for a folder of other files.
void write_demo_pair(const std::filesystem::path& folder);

/// Writes `folder`/cot.jsonl and `folder`/retrieval.jsonl, 32 lines each of `prompt` and
/// `response`, texts of about equal length: what `anamnesis gradients --data … --compare …` reads;
/// and recall-calibration.jsonl and chains-calibration.jsonl, tokens for `restore --method fit`.
void write_demo_texts(const std::filesystem::path& folder);

}  // namespace anamnesis::reproduction
