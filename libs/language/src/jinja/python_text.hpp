// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// Python's str(): what a template prints.   Errors: `unsupported` for functions, loops and
/// generators, whose text holds an address; `exhausted`.
std::string to_text(const Value& value);

/// Python's repr().   Errors: as `to_text`.
std::string represent(const Value& value);

/// Python's repr() of a float: the shortest digits that give the number back.
std::string represent(double number);

/// Python's `pattern % value`.   Errors: `usage` for arguments that do not fit; `unsupported`.
std::string format_by_percent(std::string_view pattern, const Value& value);

/// Python's `pattern.format(…)` with `{}`, `{0}` and `{name}`.   Errors: `usage`; `unsupported` for
/// conversions, attributes and format specifications.
std::string format_by_braces(std::string_view pattern, const Arguments& arguments);

}  // namespace anamnesis::language::jinja
