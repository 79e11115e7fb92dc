// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/base/shard.hpp"

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/launcher.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis {
namespace {

std::optional<std::size_t> parse_number(std::string_view text) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(number)
                                                                    : std::nullopt;
}

}  // namespace

Shard Shard::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash != std::string_view::npos) {
        const auto index = parse_number(text.substr(0, slash));
        const auto count = parse_number(text.substr(slash + 1));
        if (index && count && *index >= 1 && *index <= *count) {
            return {.index = *index - 1, .count = *count};
        }
    }
    throw Error(ErrorKind::usage,
                format("--shard {} is not i/n with 1 <= i <= n", in_quotes(text)));
}

std::optional<Shard> Shard::from_environment() {
    const auto launched = launched_rank();
    return launched ? std::optional(Shard{.index = launched->rank, .count = launched->count})
                    : std::nullopt;
}

std::string Shard::to_name() const {
    return format("{}-of-{}", index + 1, count);
}

}  // namespace anamnesis
