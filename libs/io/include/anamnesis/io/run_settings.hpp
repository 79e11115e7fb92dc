// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "anamnesis/base/json.hpp"

namespace anamnesis::io {

/// The first of the `asked` settings that `found` has otherwise, as "seed was 42, now 43"; nothing
/// where they agree. Both are objects.
std::optional<std::string> find_difference(const Json& found, const Json& asked);

/// A folder goes on only with the run that began in it.
/// Errors: `mismatch`, naming the folder, the first setting that differs and the way out.
void expect_same_run(const std::filesystem::path& folder, const Json& found, const Json& asked);

}  // namespace anamnesis::io
