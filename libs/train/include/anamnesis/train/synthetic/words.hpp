// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace anamnesis::train::synthetic {

/// Consecutive ids of words of one kind.
struct WordRange {
    std::int64_t first = 0;
    std::size_t count = 0;
};

/// The language of the synthetic tasks: some 231 words, each a token; id = place.
std::span<const std::string_view> words();

/// The id of a word that is there. Errors: `internal`.
std::int64_t find_word_id(std::string_view word);

WordRange digits();      ///< 0 to 9
WordRange letters();     ///< a to p
WordRange keys();        ///< what needles are about
WordRange adjectives();  ///< and the others of running text
WordRange nouns();
WordRange verbs();
WordRange places();
WordRange adverbs();
WordRange symbols();  ///< alpha to pi: of the values of needles, and of nothing else

/// A tokenizer.json of this language, WordLevel over white space; and tokenizer_config.json.
std::string tokenizer_json();
std::string tokenizer_config_json();

}  // namespace anamnesis::train::synthetic
