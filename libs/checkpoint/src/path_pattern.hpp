// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::checkpoint {

/// Whether a module path matches `(.*\.)?(expression)$` from its first character, as PEFT asks.
/// Errors: `malformed`, naming the expression, for one that is none or takes too long.
bool matches_path(std::string_view expression, const std::string& path);

}  // namespace anamnesis::checkpoint
