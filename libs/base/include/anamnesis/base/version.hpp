// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace anamnesis {

/// The version of the project: "0.1.0". Linked by the target `anamnesis::version`, which no room
/// links, so that a new commit does not relink everything.
std::string_view version() noexcept;

/// The commit that was built, twelve hexadecimal digits, with "-dirty" where the tree had changes;
/// "unknown" where the sources are not in a git repository of their own.
std::string_view commit() noexcept;

}  // namespace anamnesis
