// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::language {

/// `\p{name}` in the words of PCRE2, as what may stand between the brackets of a class.
/// Errors: `unsupported` for a name that is no property here.
std::string translate_property(std::string_view name);

}  // namespace anamnesis::language
