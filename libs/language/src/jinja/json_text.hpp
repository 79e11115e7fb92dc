// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "value.hpp"

namespace anamnesis::language::jinja {

/// The options of Python's json.dumps() that templates use.
struct JsonStyle {
    bool is_ascii = false;
    bool sorts_keys = false;
    std::optional<std::string> indent{};
    std::string item_separator = ", ";
    std::string key_separator = ": ";
};

/// Errors: `usage` for what JSON cannot hold; `exhausted`.
std::string write_json(const Value& value, const JsonStyle& style);

}  // namespace anamnesis::language::jinja
