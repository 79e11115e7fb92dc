// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

bool is_opening(const Token& token);
bool is_closing(const Token& token);

/// The place of the bracket that closes the one at 0; tokens.size() where none does.
std::size_t closing_place(Tokens tokens);

using TokenTest = std::function<bool(const Token&)>;

/// The first place from `begin` outside all brackets where `test` holds; tokens.size() for none.
std::size_t find_outside(Tokens tokens, const TokenTest& test, std::size_t begin = 0);

/// The parts between tokens outside all brackets for which `test` holds; empty parts left out.
std::vector<Tokens> split_outside(Tokens tokens, const TokenTest& test);

/// Without braces { } around the whole.
Tokens without_braces(Tokens tokens);

/// ]3,4] and [2,5[ written with round brackets, where the whole is such intervals.
std::vector<Token> with_round_brackets(Tokens tokens);

bool contains_command(Tokens tokens, std::string_view first, std::string_view second);

}  // namespace anamnesis::eval::grading
