// SPDX-License-Identifier: Apache-2.0
#include "running_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::train::synthetic {
namespace {

/// Sentences in words and kinds of words.
constexpr std::array<std::string_view, 5> forms{
    "the ADJECTIVE NOUN VERB the NOUN .",
    "the NOUN is ADJECTIVE .",
    "the NOUN VERB PLACE .",
    "the ADJECTIVE NOUN VERB ADVERB , the NOUN VERB .",
    "PLACE , the NOUN VERB the ADJECTIVE NOUN .",
};

constexpr std::string_view repeated =
    "the dog is big . the cat is small . the man is old . outside sees today . often , finds "
    "inside .";

/// How often the n-th of 24 words occurs: n^-0.8, summed up.
std::array<double, 24> zipf() {
    std::array<double, 24> sums{};
    double total = 0.0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        total += std::pow(static_cast<double>(i + 1), -0.8);
        sums.at(i) = total;
    }
    return sums;
}

std::int64_t draw_word(Random& random, const WordRange& range) {
    static const std::array<double, 24> sums = zipf();
    const double place = random.uniform() * sums.back();
    const auto* found = std::ranges::upper_bound(sums, place);
    return range.first + std::min<std::int64_t>(found - sums.begin(), 23);
}

}  // namespace

std::vector<std::int64_t> varied_text(Random& random, std::size_t length) {
    std::vector<std::int64_t> ids;
    while (ids.size() < length) {
        for (const std::string& word : split(forms.at(random.below(forms.size())), ' ')) {
            if (word == "ADJECTIVE") {
                ids.push_back(draw_word(random, adjectives()));
            } else if (word == "NOUN") {
                ids.push_back(draw_word(random, nouns()));
            } else if (word == "VERB") {
                ids.push_back(draw_word(random, verbs()));
            } else if (word == "PLACE") {
                ids.push_back(draw_word(random, places()));
            } else if (word == "ADVERB") {
                ids.push_back(draw_word(random, adverbs()));
            } else {
                ids.push_back(find_word_id(word));
            }
        }
    }
    ids.resize(length);
    return ids;
}

std::vector<std::int64_t> repeated_text(Random& random, std::size_t length) {
    std::vector<std::int64_t> sentence;
    for (const std::string& word : split(repeated, ' ')) {
        sentence.push_back(find_word_id(word));
    }
    std::vector<std::int64_t> ids;
    for (std::size_t i = random.below(sentence.size()); ids.size() < length; ++i) {
        ids.push_back(sentence[i % sentence.size()]);
    }
    return ids;
}

}  // namespace anamnesis::train::synthetic
