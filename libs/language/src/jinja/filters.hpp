// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "interpreter.hpp"
#include "value.hpp"

namespace anamnesis::language::jinja {

/// One filter: what it makes of the value before the bar.
using FilterFunction = Value (*)(Interpreter&, const Value& operand, const Arguments& arguments);

/// Null for a name that is not known.
FilterFunction find_text_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);
FilterFunction find_choosing_filter(std::string_view name);
FilterFunction find_value_filter(std::string_view name);

/// Items that are made when they are asked for, once.
Value make_generator(std::function<std::vector<Value>()> make_items);

bool is_filter(std::string_view name);

/// The value under "a.b.0", as filters with an `attribute` look for it.
Value get_path(const Value& object, const Value& path);

/// Texts in small letters, anything else as it is: what filters without `case_sensitive` compare.
Value ignore_case(const Value& value);

}  // namespace anamnesis::language::jinja
