// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "syntax.hpp"

namespace anamnesis::language::jinja {

/// Reads a template. Errors: `malformed` for what breaks the grammar, `unsupported` for a tag,
/// filter or test that is not known; both with the line.
Body parse_template(std::string_view source);

}  // namespace anamnesis::language::jinja
