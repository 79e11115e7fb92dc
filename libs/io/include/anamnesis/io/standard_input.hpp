// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "anamnesis/base/watch.hpp"

namespace anamnesis::io {

/// Standard input to its end.
std::string read_standard_input();

/// One line of it without its end; nothing at the end of the input or after a stop, which is seen
/// while nothing comes.
std::optional<std::string> read_input_line(const Watch& watch);

}  // namespace anamnesis::io
