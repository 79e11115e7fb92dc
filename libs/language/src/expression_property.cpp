// SPDX-License-Identifier: Apache-2.0
#define PCRE2_CODE_UNIT_WIDTH 8
#include "expression_property.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <pcre2.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "split_stage.hpp"

namespace anamnesis::language {
namespace {

struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

/// Names are compared without case, spaces, '_' and '-'.   Source: Unicode UAX #44, LM3.
std::string fold_name(std::string_view name) {
    std::string folded;
    for (const char c : name) {
        if (c != ' ' && c != '_' && c != '-') {
            folded += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        }
    }
    return folded;
}

bool is_taken(const std::string& pattern) {
    int code = 0;
    PCRE2_SIZE offset = 0;
    const std::unique_ptr<pcre2_code, FreeCode> compiled(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()),
                      pattern.size(),
                      PCRE2_UTF | PCRE2_UCP,
                      &code,
                      &offset,
                      nullptr));
    return compiled != nullptr;
}

/// Names that PCRE2 does not know, or knows as something else.
constexpr std::array<std::pair<std::string_view, std::string_view>, 51> known_names{{
    {"other", R"(\p{C})"},
    {"control", R"(\p{Cc})"},
    {"cntrl", R"(\p{Cc})"},
    {"format", R"(\p{Cf})"},
    {"unassigned", R"(\p{Cn})"},
    {"privateuse", R"(\p{Co})"},
    {"surrogate", R"(\p{Cs})"},
    {"letter", R"(\p{L})"},
    {"lc", R"(\p{Lu}\p{Ll}\p{Lt})"},
    {"l&", R"(\p{Lu}\p{Ll}\p{Lt})"},
    {"casedletter", R"(\p{Lu}\p{Ll}\p{Lt})"},
    {"lowercaseletter", R"(\p{Ll})"},
    {"modifierletter", R"(\p{Lm})"},
    {"otherletter", R"(\p{Lo})"},
    {"titlecaseletter", R"(\p{Lt})"},
    {"uppercaseletter", R"(\p{Lu})"},
    {"mark", R"(\p{M})"},
    {"combiningmark", R"(\p{M})"},
    {"spacingmark", R"(\p{Mc})"},
    {"enclosingmark", R"(\p{Me})"},
    {"nonspacingmark", R"(\p{Mn})"},
    {"number", R"(\p{N})"},
    {"decimalnumber", R"(\p{Nd})"},
    {"digit", R"(\p{Nd})"},
    {"letternumber", R"(\p{Nl})"},
    {"othernumber", R"(\p{No})"},
    {"punctuation", R"(\p{P})"},
    {"punct", R"(\p{P})"},
    {"connectorpunctuation", R"(\p{Pc})"},
    {"dashpunctuation", R"(\p{Pd})"},
    {"closepunctuation", R"(\p{Pe})"},
    {"finalpunctuation", R"(\p{Pf})"},
    {"initialpunctuation", R"(\p{Pi})"},
    {"otherpunctuation", R"(\p{Po})"},
    {"openpunctuation", R"(\p{Ps})"},
    {"symbol", R"(\p{S})"},
    {"currencysymbol", R"(\p{Sc})"},
    {"modifiersymbol", R"(\p{Sk})"},
    {"mathsymbol", R"(\p{Sm})"},
    {"othersymbol", R"(\p{So})"},
    {"separator", R"(\p{Z})"},
    {"lineseparator", R"(\p{Zl})"},
    {"paragraphseparator", R"(\p{Zp})"},
    {"spaceseparator", R"(\p{Zs})"},
    {"alpha", R"(\p{Alphabetic})"},
    {"alnum", R"(\p{Alphabetic}\p{Nd})"},
    {"blank", R"(\p{Zs}\t)"},
    {"upper", R"(\p{Uppercase})"},
    {"lower", R"(\p{Lowercase})"},
    {"xdigit", "0-9A-Fa-f"},
    {"assigned", R"(\P{Cn})"},
}};

// Source: Oniguruma 6.9.10, asked for every code point.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> oniguruma_brackets{{
    {"alnum", R"(\p{Alphabetic}\p{Nd})"},
    {"alpha", R"(\p{Alphabetic})"},
    {"ascii", R"(\x00-\x7F)"},
    {"blank", R"(\p{Zs}\t)"},
    {"cntrl", R"(\p{Cc})"},
    {"digit", R"(\p{Nd})"},
    {"graph", R"(^\p{White_Space}\p{Cc}\p{Cn})"},
    {"lower", R"(\p{Lowercase})"},
    {"print", R"(^\p{Zl}\p{Zp}\p{Cc}\p{Cn})"},
    {"punct", R"(\p{P}\p{S})"},
    {"space", white_space_members},
    {"upper", R"(\p{Uppercase})"},
    {"word", word_members},
    {"xdigit", hexadecimal_members},
}};

// Source: the crate regex-syntax 0.8.
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> rust_brackets{{
    {"alnum", "0-9A-Za-z"},
    {"alpha", "A-Za-z"},
    {"ascii", R"(\x00-\x7F)"},
    {"blank", R"(\t\x20)"},
    {"cntrl", R"(\x00-\x1F\x7F)"},
    {"digit", "0-9"},
    {"graph", R"(\x21-\x7E)"},
    {"lower", "a-z"},
    {"print", R"(\x20-\x7E)"},
    {"punct", R"(\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E)"},
    {"space", R"(\t-\r\x20)"},
    {"upper", "A-Z"},
    {"word", "0-9A-Za-z_"},
    {"xdigit", hexadecimal_members},
}};

/// "script=han" → "script", "han"; a name alone has an empty key.
std::pair<std::string, std::string> part_name(std::string_view name) {
    const std::size_t sign = name.find_first_of("=:");
    return sign == std::string_view::npos
               ? std::pair(std::string(), fold_name(name))
               : std::pair(fold_name(name.substr(0, sign)), fold_name(name.substr(sign + 1)));
}

}  // namespace

std::string translate_property(std::string_view name) {
    const auto [key, value] = part_name(name);
    const auto is_key = [&key](std::string_view brief, std::string_view full) {
        return key == brief || key == full;
    };
    if (is_key("", "gc") || key == "generalcategory") {
        const auto* const found =
            std::ranges::find(known_names, value, [](const auto& entry) { return entry.first; });
        if (found != known_names.end()) {
            return std::string(found->second);
        }
    }
    // PCRE2 alone takes a script's bare name for its extensions: with `\p{Han}`, Chinese text
    // would be cut elsewhere.
    const std::string script = format(R"(\p{{sc:{}}})", value);
    if ((key.empty() || is_key("sc", "script")) && is_taken(script)) {
        return script;
    }
    const std::string extensions = format(R"(\p{{scx:{}}})", value);
    if (is_key("scx", "scriptextensions") && is_taken(extensions)) {
        return extensions;
    }
    // PCRE2's own properties begin with an x and mean nothing elsewhere.
    const std::string plain = format(R"(\p{{{}}})", value);
    const bool is_foreign = value.starts_with('x') && !value.starts_with("xid");
    if ((is_key("", "gc") || key == "generalcategory") && !is_foreign && is_taken(plain)) {
        return plain;
    }
    throw Error(ErrorKind::unsupported,
                format("the property {} of a split expression is not supported", in_quotes(name)));
}

std::optional<std::string_view> find_bracket(std::string_view name, Dialect dialect) {
    const auto& known = dialect == Dialect::oniguruma ? oniguruma_brackets : rust_brackets;
    const auto* const found =
        std::ranges::find(known, name, [](const auto& entry) { return entry.first; });
    return found != known.end() ? std::optional(found->second) : std::nullopt;
}

}  // namespace anamnesis::language
