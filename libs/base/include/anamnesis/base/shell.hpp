// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace anamnesis {

/// A word of a command line as a POSIX shell reads it: in quotes where it needs them.
std::string quote_for_shell(std::string_view word);

}  // namespace anamnesis
