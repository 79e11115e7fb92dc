// SPDX-License-Identifier: Apache-2.0
#include "normalisation.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <utf8proc.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::language {
namespace {

/// Starters that are their own NFC form and join nothing before them: what is on their two
/// sides is normalised separately. A subset of all such characters, chosen for speed.
bool is_inert(char32_t code) {
    return code < 0x300 || (code >= 0x4E00 && code <= 0x9FFF) ||
           (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0x3001 && code <= 0x3029) ||
           (code >= 0x3041 && code <= 0x3096) || (code >= 0x30A1 && code <= 0x30FA) ||
           (code >= 0x2010 && code <= 0x2027) || (code >= 0xFF01 && code <= 0xFFEF) ||
           (code >= 0x400 && code <= 0x482);
}

unsigned combining_class(utf8proc_int32_t code) {
    return static_cast<unsigned>(utf8proc_get_property(code)->combining_class);
}

/// The library's own loop orders marks by insertion, which is quadratic.
void order_marks(std::vector<utf8proc_int32_t>& codes) {
    auto begin = codes.begin();
    while (begin != codes.end()) {
        const auto is_mark = [](utf8proc_int32_t code) { return combining_class(code) != 0; };
        begin = std::find_if(begin, codes.end(), is_mark);
        const auto end = std::find_if_not(begin, codes.end(), is_mark);
        if (end - begin > 1) {
            // Class, place, character in one number: a stable sort without a second order.
            std::vector<std::uint64_t> keys;
            keys.reserve(static_cast<std::size_t>(end - begin));
            for (auto mark = begin; mark != end; ++mark) {
                keys.push_back((std::uint64_t{combining_class(*mark)} << 56U) |
                               (static_cast<std::uint64_t>(mark - begin) << 21U) |
                               static_cast<std::uint64_t>(*mark));
            }
            std::ranges::sort(keys);
            std::ranges::transform(keys, begin, [](std::uint64_t key) {
                return static_cast<utf8proc_int32_t>(key & 0x1FFFFFU);
            });
        }
        begin = end;
    }
}

/// The characters of a text, taken apart and put in order.
std::vector<utf8proc_int32_t> decompose(std::string_view text, bool is_compatible) {
    std::vector<utf8proc_int32_t> codes;
    codes.reserve(text.size());
    for (std::size_t position = 0; position < text.size();) {
        const char32_t code = next_character(text, position);
        // A decomposition has at most 18 characters.
        std::array<utf8proc_int32_t, 32> parts{};
        int boundary = 0;
        const utf8proc_ssize_t count = utf8proc_decompose_char(
            static_cast<utf8proc_int32_t>(code),
            parts.data(),
            static_cast<utf8proc_ssize_t>(parts.size()),
            static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                           (is_compatible ? UTF8PROC_COMPAT : 0)),
            &boundary);
        ANAMNESIS_CHECK(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()),
                        "a character decomposes");
        codes.insert(codes.end(), parts.begin(), parts.begin() + count);
    }
    order_marks(codes);
    return codes;
}

void append_codes(std::string& result, std::vector<utf8proc_int32_t>& codes, bool composes) {
    if (!composes) {
        for (const utf8proc_int32_t code : codes) {
            append_utf8(result, static_cast<char32_t>(code));
        }
        return;
    }
    const utf8proc_ssize_t length = utf8proc_normalize_utf32(
        codes.data(),
        static_cast<utf8proc_ssize_t>(codes.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    ANAMNESIS_CHECK(length >= 0, "ordered characters compose");
    for (utf8proc_ssize_t i = 0; i < length; ++i) {
        append_utf8(result, static_cast<char32_t>(codes[static_cast<std::size_t>(i)]));
    }
}

void append_composed(std::string& result, std::string_view text) {
    std::vector<utf8proc_int32_t> codes = decompose(text, false);
    append_codes(result, codes, true);
}

}  // namespace

std::string normalise(std::string_view text, NormalForm form) {
    std::vector<utf8proc_int32_t> codes = decompose(text, form != NormalForm::nfd);
    std::string result;
    append_codes(result, codes, form == NormalForm::nfkc);
    return result;
}

std::string to_small_letters(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t position = 0; position < text.size();) {
        const char32_t code = next_character(text, position);
        // The one character whose small form is two.
        constexpr char32_t capital_dotted_i = 0x130;
        if (code == capital_dotted_i) {
            append_utf8(result, U'i');
            append_utf8(result, 0x307);
        } else {
            append_utf8(
                result,
                static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
        }
    }
    return result;
}

void append_nfc(std::string& result, std::string_view text) {
    std::size_t copied = 0;      // what `result` holds
    std::size_t last_inert = 0;  // where the latest inert character begins
    std::size_t position = 0;
    while (position < text.size()) {
        const std::size_t here = position;
        if (is_inert(next_character(text, position))) {
            last_inert = here;
            continue;
        }
        const std::size_t begin = std::max(copied, last_inert);
        std::size_t end = position;
        while (end < text.size()) {
            std::size_t after = end;
            if (is_inert(next_character(text, after))) {
                break;
            }
            end = after;
        }
        result += text.substr(copied, begin - copied);
        append_composed(result, text.substr(begin, end - begin));
        copied = end;
        last_inert = end;
        position = end;
    }
    result += text.substr(copied);
}

}  // namespace anamnesis::language
