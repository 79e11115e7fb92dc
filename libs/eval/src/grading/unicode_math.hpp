// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis::eval::grading {

/// Mathematics written with Unicode characters (√, π, ≤, ², ½, −) as LaTeX; control characters
/// that an escaping fault made of "\boxed", "\frac" or "\text" as what they were. Other bytes stay.
std::string unicode_to_latex(std::string_view text);

}  // namespace anamnesis::eval::grading
