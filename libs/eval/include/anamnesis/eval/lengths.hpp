// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace anamnesis::eval {

/// The lengths in tokens that words like 4096, 4k, 128K and 4k..256k (every doubling) mean.
/// Errors: `usage`.
std::vector<std::size_t> parse_lengths(const std::vector<std::string>& words);

/// "4K" for 4096; "1000" for 1000.
std::string short_length(std::size_t length);

}  // namespace anamnesis::eval
