// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace anamnesis::language {

/// What the expressions of the tokenizers ask about a character.
enum class CharacterClass : std::uint8_t { letter, mark, number, space, other };

/// Space is Unicode's White_Space, which U+180E and U+200B are not; then the general category.
CharacterClass classify(char32_t code);

bool is_white_space(char32_t code);

/// `\w`: letters, marks, decimal and letter numbers, connectors, joiners.
bool is_word_character(char32_t code);

}  // namespace anamnesis::language
