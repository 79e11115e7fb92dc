// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "value.hpp"

namespace anamnesis::language::jinja {

bool is_test(std::string_view name);

/// `operand is name(arguments)`.   Errors: `usage`.
bool run_test(std::string_view name, const Value& operand, const Arguments& arguments);

}  // namespace anamnesis::language::jinja
