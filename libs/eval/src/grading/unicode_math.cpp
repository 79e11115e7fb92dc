// SPDX-License-Identifier: Apache-2.0
#include "grading/unicode_math.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "grading/characters.hpp"

namespace anamnesis::eval::grading {
namespace {

struct Replacement {
    std::string_view character;
    std::string_view latex;
};

// Sorted by bytes, which is by code point.
constexpr auto replacements = std::to_array<Replacement>({
    {"\u00A0", " "},
    {"\u00A2", "\\text{ cents}"},
    {"\u00A3", "\\pounds "},
    {"\u00A5", "\\yen "},
    {"\u00B0", "^\\circ "},
    {"\u00B1", "\\pm "},
    {"\u00B7", "\\cdot "},
    {"\u00BC", "\\frac14 "},
    {"\u00BD", "\\frac12 "},
    {"\u00BE", "\\frac34 "},
    {"\u00D7", "\\times "},
    {"\u00F7", "\\div "},
    {"\u03B1", "\\alpha "},
    {"\u03B2", "\\beta "},
    {"\u03B3", "\\gamma "},
    {"\u03B4", "\\delta "},
    {"\u03B8", "\\theta "},
    {"\u03BB", "\\lambda "},
    {"\u03BC", "\\mu "},
    {"\u03C0", "\\pi "},
    {"\u03C3", "\\sigma "},
    {"\u03C4", "\\tau "},
    {"\u03C6", "\\phi "},
    {"\u03C9", "\\omega "},
    {"\u060C", ","},
    {"\u066A", "\\%"},
    {"\u066B", "."},
    {"\u066C", ","},
    {"\u0E3F", "\\baht "},
    {"\u2009", "\\,"},
    {"\u200B", ""},
    {"\u200C", ""},
    {"\u200D", ""},
    {"\u200E", ""},
    {"\u200F", ""},
    {"\u2010", "-"},
    {"\u2011", "-"},
    {"\u2012", "-"},
    {"\u2013", "-"},
    {"\u2014", "-"},
    {"\u2018", "'"},
    {"\u2019", "'"},
    {"\u201C", "\""},
    {"\u201D", "\""},
    {"\u2026", "\\ldots "},
    {"\u202A", ""},
    {"\u202B", ""},
    {"\u202C", ""},
    {"\u202D", ""},
    {"\u202E", ""},
    {"\u202F", "\\,"},
    {"\u2032", "'"},
    {"\u2044", "/"},
    {"\u2060", ""},
    {"\u20A6", "\\naira "},
    {"\u20A9", "\\won "},
    {"\u20AA", "\\shekel "},
    {"\u20AB", "\\dong "},
    {"\u20AC", "\\euro "},
    {"\u20B1", "\\peso "},
    {"\u20B4", "\\hryvnia "},
    {"\u20B9", "\\rupee "},
    {"\u20BA", "\\lira "},
    {"\u20BD", "\\ruble "},
    {"\u211D", "\\mathbb{R}"},
    {"\u2153", "\\frac13 "},
    {"\u2154", "\\frac23 "},
    {"\u2155", "\\frac15 "},
    {"\u215B", "\\frac18 "},
    {"\u2192", "\\to "},
    {"\u21D2", "\\Rightarrow "},
    {"\u2205", "\\emptyset "},
    {"\u2208", "\\in "},
    {"\u220E", ""},
    {"\u220F", "\\prod "},
    {"\u2211", "\\sum "},
    {"\u2212", "-"},
    {"\u2213", "\\mp "},
    {"\u2215", "/"},
    {"\u2216", "\\setminus "},
    {"\u2217", "*"},
    {"\u221A", "\\sqrt "},
    {"\u221B", "\\sqrt[3]"},
    {"\u221E", "\\infty "},
    {"\u2220", "\\angle "},
    {"\u2229", "\\cap "},
    {"\u222A", "\\cup "},
    {"\u222B", "\\int "},
    {"\u2234", "\\therefore "},
    {"\u2248", "\\approx "},
    {"\u2260", "\\ne "},
    {"\u2261", "\\equiv "},
    {"\u2264", "\\le "},
    {"\u2265", "\\ge "},
    {"\u22C5", "\\cdot "},
    {"\u25A0", ""},
    {"\u25A1", ""},
    {"\u2705", ""},
    {"\u2713", ""},
    {"\u2714", ""},
    {"\u2A7D", "\\le "},
    {"\u2A7E", "\\ge "},
    {"\u3000", " "},
    {"\u3001", ", "},
    {"\u3002", ". "},
    {"\uFE0F", ""},
    {"\uFEFF", ""},
    {"\uFF04", "\\$"},
    {"\uFF05", "\\%"},
    {"\uFF61", ". "},
    {"\uFFE0", "\\text{ cents}"},
    {"\uFFE1", "\\pounds "},
    {"\uFFE5", "\\yen "},
});
static_assert(std::ranges::is_sorted(replacements, {}, &Replacement::character));

constexpr auto superscripts = std::to_array<Replacement>({{"\u00B2", "2"},
                                                          {"\u00B3", "3"},
                                                          {"\u00B9", "1"},
                                                          {"\u2070", "0"},
                                                          {"\u2074", "4"},
                                                          {"\u2075", "5"},
                                                          {"\u2076", "6"},
                                                          {"\u2077", "7"},
                                                          {"\u2078", "8"},
                                                          {"\u2079", "9"},
                                                          {"\u207B", "-"},
                                                          {"\u207F", "n"}});

constexpr auto subscripts = std::to_array<Replacement>({{"\u2080", "0"},
                                                        {"\u2081", "1"},
                                                        {"\u2082", "2"},
                                                        {"\u2083", "3"},
                                                        {"\u2084", "4"},
                                                        {"\u2085", "5"},
                                                        {"\u2086", "6"},
                                                        {"\u2087", "7"},
                                                        {"\u2088", "8"},
                                                        {"\u2089", "9"}});

/// What "\b", "\f", "\t" and "\r" eat when a program reads "\boxed" as an escape.
constexpr auto broken_commands = std::to_array<Replacement>({{"\boxed", "\\boxed"},
                                                             {"\begin{", "\\begin{"},
                                                             {"\binom", "\\binom"},
                                                             {"\frac", "\\frac"},
                                                             {"\fbox", "\\fbox"},
                                                             {"\text{", "\\text{"},
                                                             {"\textbf{", "\\textbf{"},
                                                             {"\times ", "\\times "},
                                                             {"\tfrac", "\\tfrac"},
                                                             {"\theta", "\\theta"},
                                                             {"\right", "\\right"}});

/// The digit zero of each script in which digits follow one another, sorted.
constexpr auto zeros = std::to_array<char32_t>(
    {0x0660, 0x06F0, 0x07C0, 0x0966,  0x09E6,  0x0A66,  0x0AE6,  0x0B66,  0x0BE6,  0x0C66, 0x0CE6,
     0x0D66, 0x0DE6, 0x0E50, 0x0ED0,  0x0F20,  0x1040,  0x1090,  0x17E0,  0x1810,  0x1946, 0x19D0,
     0x1A80, 0x1A90, 0x1B50, 0x1BB0,  0x1C40,  0x1C50,  0xA620,  0xA8D0,  0xA900,  0xA9D0, 0xA9F0,
     0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x11066, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6});
static_assert(std::ranges::is_sorted(zeros));

/// The code point of the UTF-8 character at the start of `text`; 0 for ASCII and for no character.
char32_t first_code_point(std::string_view text) {
    const auto byte = static_cast<unsigned char>(text.front());
    const std::size_t length = byte < 0xC2 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    if (length == 1 || text.size() < length) {
        return 0;
    }
    char32_t code = byte & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        code = (code << 6U) | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    return code;
}

/// A decimal digit of any script, or a full-width character, as ASCII; 0 for another.
char to_ascii(char32_t code) {
    const auto above = std::ranges::upper_bound(zeros, code);
    if (above != zeros.begin() && code - *(above - 1) < 10) {
        return static_cast<char>('0' + (code - *(above - 1)));
    }
    return code >= 0xFF01 && code <= 0xFF5E ? static_cast<char>(code - 0xFF01 + '!') : '\0';
}

/// Marks of a repeating decimal that combine with the digit before them.
std::string_view combining_mark(std::string_view rest) {
    return rest.starts_with("\u0305") || rest.starts_with("\u0304") ? "\\overline"
           : rest.starts_with("\u0307")                             ? "\\dot"
                                                                    : "";
}

template <std::size_t Count>
const Replacement* find_prefix(const std::array<Replacement, Count>& table, std::string_view text) {
    const auto found = std::ranges::find_if(
        table, [text](const Replacement& entry) { return text.starts_with(entry.character); });
    return found == table.end() ? nullptr : &*found;
}

/// False for the ASCII that stays as it is.
bool may_change(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || byte == '\b' || byte == '\f' || byte == '\t' || byte == '\r';
}

/// Reads a run of small digits from `position` as "^{12}"; false where there is none.
template <std::size_t Count>
bool take_run(const std::array<Replacement, Count>& table,
              std::string_view command,
              std::string_view text,
              std::size_t& position,
              std::string& result) {
    std::string run;
    while (const Replacement* digit = find_prefix(table, text.substr(position))) {
        run += digit->latex;
        position += digit->character.size();
    }
    if (!run.empty()) {
        result.append(command).append("{").append(run).append("}");
    }
    return !run.empty();
}

}  // namespace

std::string unicode_to_latex(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    std::size_t position = 0;
    while (position < text.size()) {
        const auto plain = std::find_if(
            text.begin() + static_cast<std::ptrdiff_t>(position), text.end(), may_change);
        const auto next = static_cast<std::size_t>(plain - text.begin());
        result.append(text, position, next - position);
        position = next;
        if (position == text.size()) {
            break;
        }
        const auto byte = static_cast<unsigned char>(text[position]);
        const std::string_view rest = text.substr(position);
        if (byte == '\b' || byte == '\f' || byte == '\t' || byte == '\r') {
            if (const Replacement* broken = find_prefix(broken_commands, rest)) {
                result += broken->latex;
                position += broken->character.size();
                continue;
            }
        }
        if (byte >= 0x80) {
            if (take_run(superscripts, "^", text, position, result) ||
                take_run(subscripts, "_", text, position, result)) {
                continue;
            }
            const std::string_view character = rest.substr(0, byte < 0xE0 ? 2 : 3);
            const auto found =
                std::lower_bound(replacements.begin(),
                                 replacements.end(),
                                 character,
                                 [](const Replacement& entry, std::string_view wanted) {
                                     return entry.character < wanted;
                                 });
            if (found != replacements.end() && found->character == character) {
                result += found->latex;
                position += character.size();
                continue;
            }
            const std::string_view mark = combining_mark(rest);
            if (!mark.empty() && !result.empty() && is_digit(result.back())) {
                result.insert(result.size() - 1, mark);
                position += 2;
                continue;
            }
            if (const char ascii = to_ascii(first_code_point(rest)); ascii != '\0') {
                result += ascii;
                position += byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
                continue;
            }
        }
        result += text[position++];
    }
    return result;
}

}  // namespace anamnesis::eval::grading
