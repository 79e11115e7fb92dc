// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/lengths.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::eval {
namespace {

std::size_t parse_length(std::string_view word) {
    std::string_view digits = word;
    std::size_t unit = 1;
    if (digits.ends_with('k') || digits.ends_with('K')) {
        digits.remove_suffix(1);
        unit = 1024;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size() || number == 0) {
        throw Error(
            ErrorKind::usage,
            format("--lengths: {} is not a length; give 4096, 4k or 4k..256k", in_quotes(word)));
    }
    return number * unit;
}

}  // namespace

std::vector<std::size_t> parse_lengths(const std::vector<std::string>& words) {
    std::vector<std::size_t> lengths;
    for (const std::string& word : words) {
        const std::size_t dots = word.find("..");
        if (dots == std::string::npos) {
            lengths.push_back(parse_length(word));
            continue;
        }
        const std::size_t first = parse_length(std::string_view(word).substr(0, dots));
        const std::size_t last = parse_length(std::string_view(word).substr(dots + 2));
        if (first > last) {
            throw Error(ErrorKind::usage,
                        format("--lengths: {} goes down, and so holds no length; write the shorter "
                               "one first",
                               in_quotes(word)));
        }
        for (std::size_t length = first; length <= last; length *= 2) {
            lengths.push_back(length);
        }
    }
    return lengths;
}

std::string short_length(std::size_t length) {
    constexpr std::size_t kilo = 1024;
    return length % kilo == 0 && length > 0 ? format("{}K", length / kilo) : std::to_string(length);
}

}  // namespace anamnesis::eval
