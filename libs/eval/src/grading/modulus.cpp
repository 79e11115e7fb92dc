// SPDX-License-Identifier: Apache-2.0
#include "grading/modulus.hpp"

#include <cstddef>
#include <string>
#include <vector>

#include "grading/characters.hpp"
#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {
namespace {

/// The place of "mod" after a value; the end where there is none.
std::size_t find_mod(Tokens tokens) {
    for (std::size_t i = 1; i < tokens.size(); ++i) {
        const std::string name = lower(tokens[i].text);
        if ((tokens[i].kind == TokenKind::word || tokens[i].kind == TokenKind::command) &&
            (name == "mod" || name == "pmod" || name == "bmod" || name == "modulo")) {
            return i;
        }
    }
    return tokens.size();
}

}  // namespace

Tokens without_modulus(Tokens tokens) {
    const std::size_t mod = find_mod(tokens);
    const bool has_bracket =
        mod < tokens.size() && (tokens[mod - 1].is_symbol("(") || tokens[mod - 1].is_symbol("{"));
    return tokens.first(has_bracket ? mod - 1 : mod);
}

std::string find_modulus(Tokens tokens) {
    const std::size_t mod = find_mod(tokens);
    std::vector<Token> modulus;
    for (std::size_t i = mod + 1; i < tokens.size(); ++i) {
        const bool is_bracket = tokens[i].is_symbol("(") || tokens[i].is_symbol(")") ||
                                tokens[i].is_symbol("{") || tokens[i].is_symbol("}");
        if (!is_bracket) {
            modulus.push_back(tokens[i]);
        }
    }
    return canonical(modulus);
}

}  // namespace anamnesis::eval::grading
