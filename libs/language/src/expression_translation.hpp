// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "split_stage.hpp"

namespace anamnesis::language {

/// An expression of Oniguruma or fancy-regex as PCRE2 takes it. Where the three mean different
/// things by the same signs (`\w`, `\b`, `$`, `{1,3}+`, `(?m)`, `[[:alpha:]]`, classes in classes),
/// the result says in PCRE2's what the dialect says.
/// Errors: `unsupported`, naming a construct that has no exact translation.
std::string translate_expression(std::string_view pattern, Dialect dialect);

}  // namespace anamnesis::language
