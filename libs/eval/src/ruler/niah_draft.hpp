// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/eval/ruler/niah_generator.hpp"

namespace anamnesis::eval {

/// A sample in parts: its text is put together only once it fits.
struct NiahGenerator::Draft {
    std::deque<std::string> own{};  ///< texts of this draft alone; a deque, since parts point in
    std::vector<std::string> keys{};
    std::vector<std::vector<std::string>> values{};  ///< of each key
    std::vector<std::string> needles{};              ///< sentences, in the order of their places
    std::vector<std::size_t> asked{};                ///< keys in the order of the question
    std::vector<std::string> distractor_lines{};     ///< a haystack of needles
    std::vector<std::string> distractors{};
    std::optional<std::uint32_t> depth{};

    std::vector<PromptPart> context{};

    void add(std::string text) {
        own.push_back(std::move(text));
        context.push_back({.text = own.back()});
    }
};

}  // namespace anamnesis::eval
