// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// True where Python's str has a method of this name. Calling one that is not here is
/// `unsupported`.
bool is_text_method(std::string_view name);
/// Errors: `usage` for arguments that do not fit; `unsupported`; `exhausted`.
Value call_text_method(const Value& object, std::string_view name, const Arguments& arguments);

bool is_container_method(const Value& object, std::string_view name);
/// Methods of lists, tuples and dicts. Errors: as `call_text_method`; `usage` for what would change
/// the object.
Value call_container_method(const Value& object, std::string_view name, const Arguments& arguments);

/// `loop.cycle` and `loop.changed`.
bool is_loop_method(std::string_view name);
Value call_loop_method(const Value& object, std::string_view name, const Arguments& arguments);

}  // namespace anamnesis::language::jinja
