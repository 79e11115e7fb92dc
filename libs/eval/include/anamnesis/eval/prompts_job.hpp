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
#include "anamnesis/eval/ruler/haystack_plan.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {

/// A file of RULER's needle-in-a-haystack prompts.
struct PromptsJob {
    HaystackPlan haystack{};
    std::filesystem::path out{};
    bool leaves_wrapper_out = false;    ///< RULER's --prepare_for_ns
    std::filesystem::path tokenizer{};  ///< where the tokenizer was read, not to be written over
};

/// The prompts of one task and length (and depth). Lengths are tokens with the answer.
struct WrittenSet {
    std::string task;
    std::size_t length = 0;
    std::size_t haystack_size = 0;
    std::size_t shortest = 0;
    std::size_t longest = 0;
    std::optional<std::uint32_t> depth{};
};

struct WrittenPrompts {
    std::vector<WrittenSet> sets{};
    std::uint64_t bytes = 0;
    std::string sha256{};
    std::string essays{};  ///< the name of their text
    std::string essays_sha256{};
};

/// Writes the prompts as JSON lines. The file appears whole or not at all.
/// Errors: `usage` for what does not exist or fit, and where `out` would replace an input;
///         `cancelled` after a stop.
WrittenPrompts write_prompts(const PromptsJob& job,
                             const language::Tokenizer& tokenizer,
                             const Watch& watch);

Json to_json(const PromptsJob& job, const WrittenPrompts& written);

}  // namespace anamnesis::eval
