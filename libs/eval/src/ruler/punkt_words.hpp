// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace anamnesis::eval {

/// Punctuation that ends a word: ? ! ) " ; } ] * : @ ' ( { [
bool is_punkt_non_word(char32_t code) noexcept;

/// The words of a piece of text as Punkt's word tokenizer cuts them.
std::vector<std::u32string_view> punkt_words(std::u32string_view text);

}  // namespace anamnesis::eval
