// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::eval::grading {

enum class TokenKind : std::uint8_t {
    number,   ///< text as `read_decimal` takes it, separators removed
    letter,   ///< one Latin letter standing for itself
    command,  ///< a LaTeX command by its name without backslash, plain "sqrt" and "pi" too
    word,     ///< letters that read as a word
    symbol,   ///< one character; the braces of a set are "\\{" and "\\}"
};

struct Token {
    TokenKind kind = TokenKind::symbol;
    std::string text{};
    bool has_space_before = false;
    bool is_text = false;     ///< it was inside \text{…} or the like
    bool is_upright = false;  ///< a letter of \mathrm{…} or the like, as units are set

    bool is(TokenKind other_kind, std::string_view other) const {
        return kind == other_kind && text == other;
    }
    bool is_symbol(std::string_view other) const { return is(TokenKind::symbol, other); }
    bool is_command(std::string_view other) const { return is(TokenKind::command, other); }
};

using Tokens = std::span<const Token>;

enum class Commas : std::uint8_t {
    group_digits,  ///< "1,234" is one number
    separate,      ///< "1,234" is two
};

/// More tokens than any answer has; what is longer is cut there.
constexpr std::size_t largest_token_count = 2'000;

/// Tokens of an answer in LaTeX, plain text or a mixture of both; spacing, sizes, fonts and
/// delimiters of mathematics are gone. Total: any bytes give some tokens.
/// Cost: linear in the text, 16 levels of \text at most.
std::vector<Token> tokenise(std::string_view text, Commas commas = Commas::group_digits);

/// One spelling for all that the tokens say; words in lower case.
std::string canonical(Tokens tokens);

}  // namespace anamnesis::eval::grading
