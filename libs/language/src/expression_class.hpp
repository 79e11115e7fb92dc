// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "expression_cursor.hpp"

namespace anamnesis::language {

/// What one character may be.
struct CharacterSet {
    std::string members{};              ///< as between the brackets of a class of PCRE2
    std::vector<std::string> others{};  ///< expressions of one character
    bool tells_case = false;            ///< holds a letter of one case but not of the other

    void add(const CharacterSet& more);
    CharacterSet opposite() const;
    /// An expression of one character.
    std::string expression() const;
};

/// A character as PCRE2 takes it, in a class or outside.
std::string spell_literal(char32_t code);

/// Two characters, one after the other, that a single one equals when case is ignored, as "ss"
/// equals U+00DF in Oniguruma but not in PCRE2.
bool is_folded_pair(char32_t first, char32_t second);
/// A character that equals several when case is ignored.
bool folds_to_several(char32_t code);

/// The set that `\w` and the like mean, after the backslash, or nothing for another escape.
std::optional<CharacterSet> take_set_escape(ExpressionCursor& cursor);
/// What `\b` tells apart.
CharacterSet word_characters(const ExpressionCursor& cursor);

/// The character that an escape means, after the backslash.
char32_t take_character_escape(ExpressionCursor& cursor);

/// A class, after its '['.
CharacterSet take_class(ExpressionCursor& cursor, int depth = 0);

}  // namespace anamnesis::language
