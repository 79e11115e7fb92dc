// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/ruler/word_pairs.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/text.hpp"

#include "ruler_data.hpp"

namespace anamnesis::eval {
namespace {

std::vector<std::string> sorted_lines(std::string_view text, std::string_view ending) {
    std::vector<std::string> lines;
    for (std::string& line : split(text, '\n')) {
        if (!line.empty()) {
            lines.push_back(std::move(line) + std::string(ending));
        }
    }
    std::ranges::sort(lines);
    const auto repeats = std::ranges::unique(lines);
    lines.erase(repeats.begin(), repeats.end());
    return lines;
}

}  // namespace

WordPairs WordPairs::wonderwords() {
    return {embedded::adjectives(), embedded::nouns()};
}

WordPairs::WordPairs(std::string_view adjectives, std::string_view nouns)
    : nouns_(sorted_lines(nouns, "")) {
    const std::vector<std::string> beginnings = sorted_lines(adjectives, "-");
    for (std::size_t i = 0; i < beginnings.size();) {
        std::size_t end = i + 1;
        while (end < beginnings.size() && beginnings[end].starts_with(beginnings[i])) {
            ++end;
        }
        Group group{.begin = size_, .adjective = beginnings[i], .pairs = {}};
        if (end - i > 1) {
            for (std::size_t k = i; k < end; ++k) {
                for (const std::string& noun : nouns_) {
                    group.pairs.push_back(beginnings[k] + noun);
                }
            }
            std::ranges::sort(group.pairs);
            const auto repeats = std::ranges::unique(group.pairs);
            group.pairs.erase(repeats.begin(), repeats.end());
        }
        size_ += group.pairs.empty() ? nouns_.size() : group.pairs.size();
        groups_.push_back(std::move(group));
        i = end;
    }
}

std::string WordPairs::at(std::size_t position) const {
    ANAMNESIS_CHECK(position < size_, "a pair outside the vocabulary");
    const auto after = std::ranges::upper_bound(groups_, position, {}, &Group::begin);
    const Group& group = *(after - 1);
    const std::size_t within = position - group.begin;
    return group.pairs.empty() ? group.adjective + nouns_[within] : group.pairs[within];
}

}  // namespace anamnesis::eval
