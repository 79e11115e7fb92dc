// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

/// "28 (mod 30)": the modulus is no part of the value.
Tokens without_modulus(Tokens tokens);

/// "30" of "28 (mod 30)", without brackets; empty where there is none.
std::string find_modulus(Tokens tokens);

}  // namespace anamnesis::eval::grading
