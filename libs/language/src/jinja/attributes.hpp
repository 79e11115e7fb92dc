// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// `object.name`: attributes and methods before keys.   Errors: `usage` for an undefined object.
Value get_attribute(const Value& object, const std::string& name);

/// `object[index]`: keys and places before attributes.   Errors: as `get_attribute`.
Value get_item(const Value& object, const Value& index);

/// `object[begin:end:step]`; None for parts that are not there.   Errors: `usage`.
Value get_slice(const Value& object, const Value& begin, const Value& end, const Value& step);

/// A method bound to its object; undefined where the type has none of that name.
Value find_method(const Value& object, const std::string& name);

}  // namespace anamnesis::language::jinja
