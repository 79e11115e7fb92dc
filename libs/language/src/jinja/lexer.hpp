// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language::jinja {

enum class TokenKind : std::uint8_t {
    data,  ///< text between tags
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    text,  ///< a string, its escapes resolved
    integer,
    real,
    mark,  ///< an operator or a bracket
    end,
};

struct Token {
    TokenKind kind = TokenKind::end;
    std::string value{};
    int line = 1;
};

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` as transformers sets them:
/// the newline after a block is dropped, and so is white space before one at the beginning of a
/// line. One newline at the end of the template is dropped.
///
/// Errors: `malformed` with the line, for a tag, comment or string that does not end and for
/// characters
///         that the language does not know; `unsupported` for names beyond ASCII.
/// Source: Jinja 3.1, lexer.py.
std::vector<Token> tokenise(std::string_view source);

}  // namespace anamnesis::language::jinja
