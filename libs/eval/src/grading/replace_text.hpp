// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::eval::grading {

/// Every occurrence from left to right, as Python's str.replace does; `from` is not empty.
inline std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
    std::string result;
    result.reserve(text.size());
    std::size_t begin = 0;
    for (std::size_t at = text.find(from); at != std::string_view::npos;
         at = text.find(from, begin)) {
        result.append(text.substr(begin, at - begin)).append(to);
        begin = at + from.size();
    }
    return result.append(text.substr(begin));
}

/// Python's str.split(separator).
inline std::vector<std::string_view> pieces(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> result;
    std::size_t begin = 0;
    for (std::size_t at = text.find(separator); at != std::string_view::npos;
         at = text.find(separator, begin)) {
        result.push_back(text.substr(begin, at - begin));
        begin = at + separator.size();
    }
    result.push_back(text.substr(begin));
    return result;
}

/// Bytes of the UTF-8 character at the start of `text`, 0 for none.
inline std::size_t character_length(std::string_view text) {
    if (text.empty()) {
        return 0;
    }
    std::size_t length = 1;
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0U) == 0x80U) {
        ++length;
    }
    return length;
}

}  // namespace anamnesis::eval::grading
