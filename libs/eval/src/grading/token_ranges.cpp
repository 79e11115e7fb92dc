// SPDX-License-Identifier: Apache-2.0
#include "grading/token_ranges.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

bool is_opening(const Token& token) {
    if (token.kind == TokenKind::command) {
        return token.text == "langle" || token.text == "begin";
    }
    return token.kind == TokenKind::symbol &&
           (token.text == "(" || token.text == "[" || token.text == "{" || token.text == "\\{");
}

bool is_closing(const Token& token) {
    if (token.kind == TokenKind::command) {
        return token.text == "rangle" || token.text == "end";
    }
    return token.kind == TokenKind::symbol &&
           (token.text == ")" || token.text == "]" || token.text == "}" || token.text == "\\}");
}

std::size_t closing_place(Tokens tokens) {
    int level = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        level += is_opening(tokens[i]) ? 1 : 0;
        level -= is_closing(tokens[i]) ? 1 : 0;
        if (level == 0) {
            return i;
        }
    }
    return tokens.size();
}

std::size_t find_outside(Tokens tokens, const TokenTest& test, std::size_t begin) {
    int level = 0;
    for (std::size_t i = begin; i < tokens.size(); ++i) {
        if (level == 0 && test(tokens[i])) {
            return i;
        }
        level += is_opening(tokens[i]) ? 1 : 0;
        level -= is_closing(tokens[i]) ? 1 : 0;
    }
    return tokens.size();
}

std::vector<Tokens> split_outside(Tokens tokens, const TokenTest& test) {
    std::vector<Tokens> parts;
    std::size_t begin = 0;
    while (begin <= tokens.size()) {
        const std::size_t end = find_outside(tokens, test, begin);
        if (end > begin) {
            parts.push_back(tokens.subspan(begin, end - begin));
        }
        begin = end + 1;
    }
    return parts;
}

Tokens without_braces(Tokens tokens) {
    while (tokens.size() >= 2 && tokens.front().is_symbol("{") &&
           closing_place(tokens) == tokens.size() - 1) {
        tokens = tokens.subspan(1, tokens.size() - 2);
    }
    return tokens;
}

std::vector<Token> with_round_brackets(Tokens tokens) {
    std::vector<Token> result(tokens.begin(), tokens.end());
    if (result.empty() || !(result.front().is_symbol("]") || result.back().is_symbol("["))) {
        return result;
    }
    bool is_inside = false;
    int level = 0;
    for (Token& token : result) {
        if (token.is_symbol("(") || token.is_symbol("{")) {
            level += is_inside ? 1 : 0;
            is_inside = true;
        } else if (token.is_symbol(")") || token.is_symbol("}")) {
            is_inside = level > 0;
            level -= level > 0 ? 1 : 0;
        } else if (token.is_symbol("[") || token.is_symbol("]")) {
            if (!is_inside && token.text == "]") {
                token.text = "(";
            } else if (is_inside && token.text == "[") {
                token.text = ")";
            }
            is_inside = !is_inside;
        }
    }
    return result;
}

bool contains_command(Tokens tokens, std::string_view first, std::string_view second) {
    return std::ranges::any_of(tokens, [&](const Token& token) {
        return token.is_command(first) || token.is_command(second);
    });
}

}  // namespace anamnesis::eval::grading
