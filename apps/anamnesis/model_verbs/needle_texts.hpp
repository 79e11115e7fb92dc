// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/analysis/attention_statistics.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "options.hpp"

namespace anamnesis::app {

/// A text whose attention is looked at, perhaps with a needle in it and the answer behind it.
struct NeedleText {
    std::string id{};
    std::vector<std::int64_t> prompt{};
    std::vector<std::int64_t> answer{};           ///< the first value asked for
    std::string value{};                          ///< as text; empty without a needle
    std::optional<analysis::TokenSpan> needle{};  ///< where the value stands in the prompt
};

/// The prompts of a file, or those that --niah makes.
/// Errors: those of the readers; `mismatch` where the value is not found in its prompt.
std::vector<NeedleText> needle_texts(const AttentionOptions& options,
                                     const language::Tokenizer& tokenizer);

}  // namespace anamnesis::app
