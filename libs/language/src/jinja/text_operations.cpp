// SPDX-License-Identifier: Apache-2.0
#include "text_operations.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/language/utf8.hpp"

#include "code_points.hpp"
#include "operators.hpp"
#include "python_text.hpp"

namespace anamnesis::language::jinja {

std::string replace_parts(std::string_view text,
                          std::string_view old,
                          std::string_view replacement,
                          std::int64_t count) {
    std::string result;
    std::size_t at = 0;
    if (old.empty()) {
        const std::vector<std::size_t> offsets = find_characters(text);
        for (std::size_t i = 0; i < offsets.size(); ++i) {
            if (count != 0) {
                result += replacement;
                --count;
            }
            if (i + 1 < offsets.size()) {
                result += text.substr(offsets[i], offsets[i + 1] - offsets[i]);
            }
            check_bytes(result.size());
        }
        return result;
    }
    for (std::size_t found = find_part(text, old); found != std::string_view::npos && count != 0;
         found = find_part(text, old, at), --count) {
        result += text.substr(at, found - at);
        result += replacement;
        check_bytes(result.size());
        at = found + old.size();
    }
    return result += text.substr(at);
}

std::vector<std::string> split_lines(std::string_view text, bool keeps_ends) {
    std::vector<std::string> lines;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = at;
        const char32_t code = next_character(text, at);
        const bool ends_line = (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) ||
                               code == 0x85 || code == 0x2028 || code == 0x2029;
        if (!ends_line) {
            continue;
        }
        if (code == '\r' && at < text.size() && text[at] == '\n') {
            ++at;
        }
        lines.emplace_back(text.substr(begin, (keeps_ends ? at : end) - begin));
        begin = at;
    }
    if (begin < text.size()) {
        lines.emplace_back(text.substr(begin));
    }
    return lines;
}

std::string centre(std::string_view text, std::int64_t width, std::string_view fill) {
    const std::int64_t missing = width - count_characters(text);
    if (missing <= 0) {
        return std::string(text);
    }
    check_bytes(static_cast<std::size_t>(missing) * fill.size() + text.size());
    const std::int64_t left = missing / 2 + (missing & width & 1);
    std::string result;
    for (std::int64_t i = 0; i < left; ++i) {
        result += fill;
    }
    result += text;
    for (std::int64_t i = left; i < missing; ++i) {
        result += fill;
    }
    return result;
}

std::string join_texts(std::string_view separator, const std::vector<Value>& items) {
    std::string result;
    bool is_first = true;
    for (const Value& item : items) {
        if (!is_first) {
            result += separator;
        }
        is_first = false;
        result += to_text(item);
        check_bytes(result.size());
    }
    return result;
}

}  // namespace anamnesis::language::jinja
