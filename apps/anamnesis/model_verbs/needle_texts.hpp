// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::app {

/// A text whose attention is looked at, perhaps with a needle in it and the answer behind it.
struct NeedleText {
    std::string id{};
    std::vector<std::int64_t> prompt{};
    std::vector<std::int64_t> answer{};           ///< the first value asked for
    std::string value{};                          ///< as text; empty without a needle
    std::optional<analysis::TokenSpan> needle{};  ///< where the value stands in the prompt
};

/// Needle prompts that are made here; without tasks or lengths s2 at 4k.
/// Errors: those of the generators; `mismatch` where the value is not found in its prompt.
std::vector<NeedleText> needle_texts(const eval::HaystackPlan& stated,
                                     const language::Tokenizer& tokenizer);

/// The prompts of a file. Errors: those of the readers; `mismatch` as above, and for no text.
std::vector<NeedleText> needle_texts(const std::string& path, const language::Tokenizer& tokenizer);

}  // namespace anamnesis::app
