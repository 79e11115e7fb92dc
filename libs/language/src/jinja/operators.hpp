// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// The largest text or list that an operation may make: hostile templates double theirs.
inline constexpr std::size_t most_bytes = 64U << 20U;
inline constexpr std::size_t most_items = 1U << 20U;

/// Errors: `exhausted` where a text would be longer than `most_bytes`.
void check_bytes(std::size_t bytes);
/// Errors: `exhausted` where a list would be longer than `most_items`.
void check_items(std::size_t items);

/// Python's + - * / // % **.   Errors: `usage` for types that do not go together and division by
/// zero; `unsupported` for whole numbers beyond 64 bits.
Value compute(std::string_view mark, const Value& left, const Value& right);

Value negate(const Value& value);

/// Python's == != < <= > >= in, and "not in".   Errors: `usage`.
bool compare(std::string_view mark, const Value& left, const Value& right);

/// Python's `item in container`.   Errors: `usage`.
bool holds(const Value& container, const Value& item);

/// HTML's special characters as entities, as markupsafe writes them.
std::string escape_markup(std::string_view text);

}  // namespace anamnesis::language::jinja
