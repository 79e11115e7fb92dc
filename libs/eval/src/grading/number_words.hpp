// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "grading/tokens.hpp"

namespace anamnesis::eval::grading {

/// Numbers in English words become numbers: "forty-two", "one hundred and five", "3 million",
/// "two-thirds", "three quarters", "half".
std::vector<Token> with_number_words(Tokens tokens);

}  // namespace anamnesis::eval::grading
