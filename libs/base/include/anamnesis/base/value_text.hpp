// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis {

/// What is wrong with the text of a value; empty where nothing is. A text that is empty comes of a
/// variable of the shell that is not set.
std::string find_empty_text(std::string_view text);

/// The same for a number: "nan", which reads as one and which no range leaves out.
std::string find_text_of_nan(std::string_view text);

}  // namespace anamnesis
