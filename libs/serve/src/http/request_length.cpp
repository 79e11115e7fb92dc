// SPDX-License-Identifier: Apache-2.0
#include "http/request_length.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <httplib.h>

#include "http/failures.hpp"

namespace anamnesis::serve {
namespace {

constexpr const char* length_name = "Content-Length";
constexpr const char* encoding_name = "Transfer-Encoding";

/// Nothing for what is no whole number; the largest for one that is larger.
std::optional<std::uint64_t> parse_length(std::string_view text) {
    std::uint64_t length = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
    if (text.empty() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return error == std::errc::result_out_of_range ? std::numeric_limits<std::uint64_t>::max()
                                                   : length;
}

/// As the library looks for it.
bool is_chunked(const httplib::Request& request) {
    const std::string encoding = request.get_header_value(encoding_name);
    return std::ranges::equal(encoding, std::string_view("chunked"), [](char left, char right) {
        return (left >= 'A' && left <= 'Z' ? static_cast<char>(left - 'A' + 'a') : left) == right;
    });
}

}  // namespace

bool waits_for_body(const httplib::Request& request) {
    const bool is_read = request.method == "POST" || request.method == "PUT" ||
                         request.method == "PATCH" || request.method == "PRI";
    return is_read && !request.has_header(length_name) && !is_chunked(request);
}

bool has_body(const httplib::Request& request) {
    return request.has_header(encoding_name) ||
           (request.has_header(length_name) && request.get_header_value(length_name) != "0");
}

std::optional<Failure> find_wrong_length(const httplib::Request& request, std::size_t most_bytes) {
    const std::size_t count = request.get_header_value_count(length_name);
    if (count == 0) {
        return std::nullopt;
    }
    std::string given = request.get_header_value(length_name);
    for (std::size_t i = 1; i < count; ++i) {
        given += ", " + request.get_header_value(length_name, i);
    }
    const auto length = parse_length(given);
    if (!length) {
        return wrong_length(given);
    }
    return *length > most_bytes ? std::optional(too_large(most_bytes)) : std::nullopt;
}

}  // namespace anamnesis::serve
