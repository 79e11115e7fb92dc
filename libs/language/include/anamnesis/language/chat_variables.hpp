// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"

namespace anamnesis::language {

inline constexpr const char* chat_variable_help =
    "NAME=JSON: a further variable of the chat template, as reasoning_effort='\"high\"'; again for "
    "each.";

/// The object of all `NAME=JSON`, as `--chat-var` takes them; null where there is none. A value
/// that is no JSON is a text. Errors: `usage` for one without a name, and for a value that was to
/// be JSON: `False`, `None`, a bracket or a quote that is not closed.
Json parse_chat_variables(const std::vector<std::string>& variables);

}  // namespace anamnesis::language
