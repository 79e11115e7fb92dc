// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/divergence.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

/// The items once more, each marked in its line as the second answer to its question. Engines may
/// use what they keep of the first.
NextItem repeat_items(NextItem next);

/// The items with the tokens of the answers in their lines, to find where two part.
NextItem with_tokens(NextItem next, const language::Tokenizer& tokenizer);

/// The questions that one checkpoint answered twice.
struct RepeatFigures {
    std::string checkpoint{};
    std::size_t pairs = 0;
    std::size_t differing = 0;
    /// The divergence after the fewest tokens, and its question.
    std::optional<Divergence> first{};
    std::string first_id{};
};

/// Empty where nothing was asked twice.
std::vector<RepeatFigures> compare_repeats(const RunRecord& run);

Json repeats_json(const std::vector<RepeatFigures>& repeats);
/// A line a checkpoint.
std::string repeats_text(const std::vector<RepeatFigures>& repeats);
void add_repeats(report::Document& document, const std::vector<RepeatFigures>& repeats);

}  // namespace anamnesis::eval
