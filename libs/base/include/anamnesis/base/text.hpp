// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace anamnesis {

/// `std::format`, which g++ 12 does not have.
template <class... Arguments>
std::string format(fmt::format_string<Arguments...> pattern, Arguments&&... arguments) {
    return fmt::format(pattern, std::forward<Arguments>(arguments)...);
}

/// "3.7 GB": powers of 1000, three significant digits; "812 bytes" below 1000.
std::string human_bytes(std::uint64_t bytes);

/// "8.85 B", "1.93 M": a count in the way model sizes are written.
std::string human_count(std::uint64_t count);

/// "1,926,138,880"
std::string with_separators(std::uint64_t number);

/// ASCII control bytes as \x1b, for text that is printed: a name out of a file must not move the
/// cursor of a terminal, nor begin a line. Other bytes stay.
std::string escape_controls(std::string_view text);

/// A string fit for one line of an error message: quotes, backslashes and ASCII control bytes
/// escaped, cut after `limit` bytes. Other bytes stay, so that a path reads as its owner wrote it.
std::string in_quotes(std::string_view text, std::size_t limit = 120);

/// The candidate that looks most like `word`, if any is near enough for "did you mean".
std::optional<std::string> find_nearest(std::string_view word,
                                        std::span<const std::string> candidates);

std::vector<std::string> split(std::string_view text, char separator);

std::string join(std::span<const std::string> parts, std::string_view separator);

/// "0-3,7,9-11" for {0,1,2,3,7,9,10,11}.
std::string compact_list(std::span<const std::uint32_t> numbers);

/// The numbers of "3,7,9-11", ascending, without repeats. `what` names the option in errors.
/// Errors: `usage` for anything else, or for a range above `limit` numbers.
std::vector<std::uint32_t> parse_number_list(std::string_view text,
                                             std::string_view what,
                                             std::uint32_t limit = 100'000);

}  // namespace anamnesis
