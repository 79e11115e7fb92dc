// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::analysis {

/// A text whose attention is looked at, perhaps with a needle in it and the answer after it.
struct NeedleText {
    std::string id{};
    std::vector<std::int64_t> prompt{};
    std::vector<std::int64_t> answer{};  ///< the first value asked for
    std::string value{};                 ///< as text; empty without a needle
    std::optional<TokenSpan> needle{};   ///< where the value is in the prompt
};

/// Needle prompts that are made here.
/// Errors: those of the generators; `mismatch` where the value is not found in its prompt.
std::vector<NeedleText> make_needle_texts(const eval::HaystackPlan& plan,
                                          const language::Tokenizer& tokenizer);

/// Reads JSON lines: `text` alone, or prompts as RULER writes them.
/// Errors: those of the readers; `mismatch` where the value is not found in its prompt, or no text
///         is there.
std::vector<NeedleText> read_needle_texts(const std::string& path,
                                          const language::Tokenizer& tokenizer);

}  // namespace anamnesis::analysis
