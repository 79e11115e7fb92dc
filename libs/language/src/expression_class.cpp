// SPDX-License-Identifier: Apache-2.0
#include "expression_class.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <utf8proc.h>

#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "expression_cursor.hpp"
#include "expression_property.hpp"
#include "split_stage.hpp"

namespace anamnesis::language {
namespace {

constexpr int max_depth = 20;

// Outside a class Oniguruma asks its table of Latin-1, to which these are of words too.
constexpr std::string_view latin_word = R"(\xB2\xB3\xB9\xBC-\xBE)";
constexpr std::string_view joiners = R"(\x{200C}\x{200D})";

using Folding = std::vector<char32_t>;

Folding fold_case(char32_t code) {
    std::array<utf8proc_int32_t, 4> folded{};
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code),
                                                           folded.data(),
                                                           folded.size(),
                                                           UTF8PROC_CASEFOLD,
                                                           &boundary);
    return {folded.begin(), folded.begin() + std::clamp<utf8proc_ssize_t>(count, 0, 4)};
}

std::set<std::pair<char32_t, char32_t>> list_folded_pairs() {
    constexpr char32_t limit = 0x10000;  // Unicode has none beyond
    std::set<std::pair<char32_t, char32_t>> pairs;
    for (char32_t code = 0x80; code < limit; ++code) {
        const Folding folded = fold_case(code);
        for (std::size_t i = 1; i < folded.size(); ++i) {
            pairs.emplace(folded[i - 1], folded[i]);
        }
    }
    return pairs;
}

CharacterSet read_named(std::string_view members) {
    const bool is_opposite = members.starts_with('^');
    const CharacterSet set{.members = std::string(members.substr(is_opposite ? 1 : 0))};
    return is_opposite ? set.opposite() : set;
}

/// "alpha" of `[:alpha:]`, after the "[:".
CharacterSet take_bracket(ExpressionCursor& cursor) {
    const bool is_opposite = cursor.take("^");
    const std::string_view name = cursor.take_until(':');
    const std::optional<std::string_view> members =
        find_bracket(name, cursor.is_oniguruma() ? Dialect::oniguruma : Dialect::rust);
    if (!members || !cursor.take("]")) {
        cursor.refuse(format("the class [:{}:]", name));
    }
    CharacterSet set = read_named(*members);
    set.tells_case = name == "lower" || name == "upper";
    return is_opposite ? set.opposite() : set;
}

CharacterSet take_property(ExpressionCursor& cursor, bool is_opposite) {
    std::string_view name = cursor.rest().substr(0, 1);
    if (cursor.take("{")) {
        name = cursor.take_until('}');
    } else if (cursor.is_oniguruma() || name.empty()) {
        cursor.refuse(R"(\p without a name in braces)");
    } else {
        cursor.skip(1);
    }
    const bool has_caret = cursor.is_oniguruma() && name.starts_with('^');
    name.remove_prefix(has_caret ? 1 : 0);
    CharacterSet set{.members = translate_property(name)};
    for (const std::string_view part : {R"(\p{lu})",
                                        R"(\p{ll})",
                                        R"(\p{lt})",
                                        R"(\p{Lu})",
                                        R"(\p{Ll})",
                                        R"(\p{Lt})",
                                        "ercase}"}) {
        set.tells_case = set.tells_case || set.members.find(part) != std::string::npos;
    }
    return has_caret != is_opposite ? set.opposite() : set;
}

char32_t read_number(const ExpressionCursor& cursor, std::string_view digits, int base) {
    char32_t code = 0;
    for (const char c : digits) {
        const std::size_t digit = std::string_view("0123456789abcdef").find(c | 0x20);
        if (digit >= static_cast<std::size_t>(base) || code > 0x10FFFF) {
            cursor.refuse(format("the code {}", in_quotes(digits)));
        }
        code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    if (digits.empty() || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
        cursor.refuse(format("the code {}", in_quotes(digits)));
    }
    return code;
}

std::string_view take_digits(ExpressionCursor& cursor, std::string_view digits, std::size_t most) {
    const std::string_view rest = cursor.rest().substr(0, most);
    const std::string_view found = rest.substr(0, rest.find_first_not_of(digits));
    cursor.skip(found.size());
    return found;
}

/// After the x or u.
char32_t take_hexadecimal(ExpressionCursor& cursor, bool is_byte) {
    if (cursor.take("{")) {
        return read_number(cursor, cursor.take_until('}'), 16);
    }
    const std::string_view digits = take_digits(cursor, "0123456789abcdefABCDEF", is_byte ? 2 : 4);
    const char32_t code = read_number(cursor, digits, 16);
    if (is_byte && code >= 0x80 && cursor.is_oniguruma()) {
        cursor.refuse(format(R"(the byte \x{}, a part of a character)", digits));
    }
    return code;
}

/// A character of a class, or a set that an escape means.
struct Member {
    std::optional<CharacterSet> set{};
    char32_t code = 0;
};

Member take_member(ExpressionCursor& cursor) {
    if (!cursor.take("\\")) {
        return {.code = cursor.take_character()};
    }
    if (auto set = take_set_escape(cursor)) {
        return {.set = std::move(set)};
    }
    return {.code = cursor.take("b") ? U'\b' : take_character_escape(cursor)};
}

void require_simple_folding(const ExpressionCursor& cursor, char32_t first, char32_t last) {
    for (char32_t code = first; cursor.ignores_case && code <= std::min(last, char32_t{0xFFFF});
         ++code) {
        if (cursor.is_oniguruma() && folds_to_several(code)) {
            cursor.refuse(format("U+{:04X}, which equals several characters under (?i)",
                                 static_cast<std::uint32_t>(code)));
        }
    }
}

/// Rust's differences of classes.
void refuse_operators(const ExpressionCursor& cursor) {
    if (!cursor.is_oniguruma() && (cursor.sees("--") || cursor.sees("~~"))) {
        cursor.refuse(format("{} in a class", cursor.rest().substr(0, 2)));
    }
}

/// A character, a range or an escape, but none that begins with '['.
void take_members(ExpressionCursor& cursor, CharacterSet& side) {
    const Member first = take_member(cursor);
    refuse_operators(cursor);
    const bool has_range = cursor.sees("-") && !cursor.sees("-]");
    if (first.set) {
        if (has_range) {
            cursor.refuse("a range from a set of characters");
        }
        side.add(*first.set);
        return;
    }
    char32_t last = first.code;
    if (has_range) {
        cursor.skip(1);
        const Member end = cursor.sees("[") || cursor.sees("&&") ? Member{.set = CharacterSet{}}
                                                                 : take_member(cursor);
        if (end.set) {
            cursor.refuse("a range to a set of characters");
        }
        last = end.code;
    }
    require_simple_folding(cursor, first.code, last);
    side.members += spell_literal(first.code);
    if (has_range) {
        side.members += "-" + spell_literal(last);
        // As in [a-c-e]: this one is itself.
        side.members += cursor.take("-") ? spell_literal('-') : "";
    }
}

CharacterSet intersect(const std::vector<CharacterSet>& sides) {
    if (sides.size() == 1) {
        return sides.front();
    }
    std::string all;
    for (std::size_t i = 0; i + 1 < sides.size(); ++i) {
        all += format("(?={})", sides[i].expression());
    }
    CharacterSet both;
    both.others.push_back(format("(?:{}{})", all, sides.back().expression()));
    return both;
}

}  // namespace

void CharacterSet::add(const CharacterSet& more) {
    members += more.members;
    others.insert(others.end(), more.others.begin(), more.others.end());
    tells_case = tells_case || more.tells_case;
}

CharacterSet CharacterSet::opposite() const {
    CharacterSet result{.tells_case = tells_case};
    if (others.empty()) {
        result.others.push_back("[^" + members + "]");
    } else if (members.empty() && others.size() == 1 && others.front().starts_with("[^")) {
        result.members = others.front().substr(2, others.front().size() - 3);
    } else {
        result.others.push_back(format("(?:(?!{})(?s:.))", expression()));
    }
    return result;
}

std::string CharacterSet::expression() const {
    std::string alternatives = members.empty() ? "" : "[" + members + "]";
    for (const std::string& other : others) {
        alternatives += (alternatives.empty() ? "" : "|") + other;
    }
    const bool is_single = (members.empty() ? 0 : 1) + others.size() == 1;
    return is_single ? alternatives : "(?:" + alternatives + ")";
}

std::string spell_literal(char32_t code) {
    const bool is_plain = code >= 0x80 || (code >= '0' && code <= '9') ||
                          (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    std::string text;
    if (is_plain) {
        append_utf8(text, code);
    }
    return is_plain ? text : format(R"(\x{:02X})", static_cast<std::uint32_t>(code));
}

bool folds_to_several(char32_t code) {
    return fold_case(code).size() > 1;
}

bool is_folded_pair(char32_t first, char32_t second) {
    static const std::set<std::pair<char32_t, char32_t>> pairs = list_folded_pairs();
    return pairs.contains({fold_case(first).front(), fold_case(second).front()});
}

CharacterSet word_characters(const ExpressionCursor& cursor) {
    return {.members = std::string(word_members) +
                       std::string(cursor.is_oniguruma() ? latin_word : joiners)};
}

std::optional<CharacterSet> take_set_escape(ExpressionCursor& cursor) {
    const char kind = cursor.has_more() ? cursor.rest().front() : '\0';
    CharacterSet set;
    switch (kind) {
        case 'd':
        case 'D':
            set.members = R"(\p{Nd})";
            break;
        case 's':
        case 'S':
            set.members = white_space_members;
            break;
        case 'w':
        case 'W':
            set.members =
                std::string(word_members) + std::string(cursor.is_oniguruma() ? "" : joiners);
            break;
        case 'h':
        case 'H':
            set.members = hexadecimal_members;
            break;
        case 'p':
        case 'P':
            cursor.skip(1);
            return take_property(cursor, kind == 'P');
        default:
            return std::nullopt;
    }
    cursor.skip(1);
    return kind >= 'a' ? set : set.opposite();
}

char32_t take_character_escape(ExpressionCursor& cursor) {
    constexpr std::string_view octal = "01234567";
    constexpr std::array<std::pair<char32_t, char32_t>, 7> controls{
        {{'t', '\t'}, {'n', '\n'}, {'r', '\r'}, {'f', '\f'}, {'v', '\v'}, {'a', '\a'}, {'e', 27}}};
    if (cursor.is_oniguruma() && cursor.has_more() &&
        octal.find(cursor.rest().front()) != std::string_view::npos) {
        const char32_t code = read_number(cursor, take_digits(cursor, octal, 3), 8);
        if (code >= 0x80) {
            cursor.refuse("an octal byte, a part of a character");
        }
        return code;
    }
    const char32_t code = cursor.take_character();
    const auto* const found =
        std::ranges::find(controls, code, [](const auto& entry) { return entry.first; });
    if (found != controls.end()) {
        return found->second;
    }
    if (code == 'c') {
        return cursor.take_character() & 0x1FU;
    }
    if (code == 'x' || code == 'u') {
        return take_hexadecimal(cursor, code == 'x');
    }
    const bool is_letter = (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    if (is_letter || (code >= '0' && code <= '9')) {
        cursor.refuse(format(R"(the escape \{})", static_cast<char>(code)));
    }
    return code;
}

CharacterSet take_class(ExpressionCursor& cursor, int depth) {
    if (depth > max_depth) {
        cursor.refuse("classes within too many classes");
    }
    const bool is_opposite = cursor.take("^");
    std::vector<CharacterSet> sides;
    CharacterSet side;
    const auto end_side = [&] {
        if (side.members.empty() && side.others.empty()) {
            cursor.refuse("a class or a side of && without a character");
        }
        if (side.tells_case && cursor.ignores_case) {
            cursor.refuse("a class under (?i) that tells capital and small letters apart");
        }
        sides.push_back(std::exchange(side, {}));
    };
    bool is_first = true;
    while (!cursor.sees("]") || is_first) {
        is_first = false;
        refuse_operators(cursor);
        if (cursor.take("&&")) {
            end_side();
        } else if (cursor.take("[:")) {
            side.add(take_bracket(cursor));
        } else if (cursor.take("[")) {
            side.add(take_class(cursor, depth + 1));
        } else {
            take_members(cursor, side);
        }
    }
    cursor.skip(1);
    end_side();
    const CharacterSet all = intersect(sides);
    return is_opposite ? all.opposite() : all;
}

}  // namespace anamnesis::language
