// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// The items; the line of one whose prompt holds text without tokens says how many unknown tokens
/// it makes (`unknown_tokens`).
NextItem with_unknown_tokens(NextItem next, const language::Tokenizer& tokenizer);

/// Prompts of a checkpoint that hold text which its tokenizer cannot say.
struct UnknownTokens {
    std::string checkpoint{};
    std::size_t prompts = 0;           ///< that were answered
    std::size_t with_unknown = 0;      ///< of those
    std::uint64_t unknown = 0;         ///< tokens in them
    std::vector<std::string> first{};  ///< samples, at most three
};

/// Checkpoints without such prompts are left out.
std::vector<UnknownTokens> find_unknown_tokens(const RunRecord& run);

/// As findings of a checkpoint are told (docs/json.md).
Json unknown_tokens_json(const std::vector<UnknownTokens>& found);
/// A line a checkpoint.
std::string unknown_tokens_text(const std::vector<UnknownTokens>& found);
void add_unknown_tokens(report::Document& document, const std::vector<UnknownTokens>& found);

}  // namespace anamnesis::eval
