// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::language {

/// An expression of the reference (Oniguruma) as PCRE2 takes it: `\s` is Unicode's White_Space, and
/// a class with `&&`, which PCRE2 reads as letters, is written as what both sides hold.
/// Errors: `unsupported` for classes within classes other than that.
std::string translate_expression(std::string_view pattern);

}  // namespace anamnesis::language
