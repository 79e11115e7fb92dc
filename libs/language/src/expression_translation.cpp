// SPDX-License-Identifier: Apache-2.0
#include "expression_translation.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"

#include "expression_class.hpp"
#include "expression_cursor.hpp"

namespace anamnesis::language {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_any_of(char c, std::string_view choices) {
    return choices.find(c) != std::string_view::npos;
}

class Translator {
public:
    Translator(std::string_view pattern, Dialect dialect) : cursor_(pattern, dialect) {}

    std::string run() {
        while (cursor_.has_more()) {
            read_next();
        }
        if (groups_.size() != 1) {
            cursor_.refuse("a group that does not end");
        }
        return result_ + std::string(groups_.back().scopes, ')');
    }

private:
    enum class Kind : std::uint8_t {
        nothing,  ///< a quantifier may not follow
        atom,
        quantified,
    };

    struct Group {
        std::size_t begin = 0;
        bool is_assertion = false;
        bool ignored_case = false;  ///< outside
        std::size_t scopes = 0;     ///< groups within that end where this one ends
    };

    void read_next() {
        if (cursor_.take("\\")) {
            read_escape();
        } else if (cursor_.take("[")) {
            add_atom(take_class(cursor_).expression());
        } else if (cursor_.take("(")) {
            open_group();
        } else if (cursor_.take(")")) {
            close_group();
        } else if (cursor_.take("|")) {
            add_nothing("|");
        } else if (cursor_.take("^")) {
            add_nothing(cursor_.is_oniguruma() ? "(?m:^)" : R"(\A)");
        } else if (cursor_.take("$")) {
            add_nothing(cursor_.is_oniguruma() ? "(?m:$)" : R"(\z)");
        } else if (cursor_.take(".")) {
            add_atom(".");
        } else if (auto quantifier = take_quantifier()) {
            add_quantifier(*std::move(quantifier));
        } else {
            add_literal(cursor_.take_character());
        }
    }

    void add_atom(std::string_view text) {
        kind_ = Kind::atom;
        last_ = result_.size();
        literal_.reset();
        result_ += text;
    }

    /// What stands for no character: an assertion, an alternative.
    void add_nothing(std::string_view text) {
        add_atom(text);
        kind_ = Kind::nothing;
    }

    void add_literal(char32_t code) {
        if (cursor_.ignores_case && cursor_.is_oniguruma() &&
            (folds_to_several(code) || (literal_ && is_folded_pair(*literal_, code)))) {
            cursor_.refuse("letters under (?i) that equal a single one, as ss equals U+00DF");
        }
        add_atom(spell_literal(code));
        literal_ = code;
    }

    void read_escape() {
        const char kind = cursor_.has_more() ? cursor_.rest().front() : '\0';
        if (cursor_.is_oniguruma() && is_any_of(kind, "wW")) {
            cursor_.skip(1);
            const CharacterSet word = word_characters(cursor_);
            add_atom((kind == 'w' ? word : word.opposite()).expression());
        } else if (auto set = take_set_escape(cursor_)) {
            const bool needs_case = set->tells_case && cursor_.ignores_case;
            if (needs_case && !cursor_.is_oniguruma()) {
                cursor_.refuse("a property of one case under (?i)");
            }
            // Oniguruma ignores no case here, only in classes.
            add_atom(needs_case ? format("(?-i:{})", set->expression()) : set->expression());
        } else if (kind == 'b' || kind == 'B') {
            cursor_.skip(1);
            add_boundary(kind == 'b');
        } else if (is_any_of(kind, "AzGK") || (cursor_.is_oniguruma() && kind == 'Z')) {
            cursor_.skip(1);
            add_nothing(std::string{'\\', kind});
        } else if (cursor_.is_oniguruma() && is_any_of(kind, "RNO")) {
            cursor_.skip(1);
            add_atom(kind == 'N' ? R"([^\n])" : kind == 'O' ? "(?s:.)" : std::string{'\\', kind});
        } else if (kind >= '1' && kind <= '9') {
            read_reference();
        } else if (cursor_.take("k<")) {
            add_atom(format(R"(\k<{}>)", take_name()));
        } else {
            add_literal(take_character_escape(cursor_));
        }
    }

    void add_boundary(bool is_boundary) {
        const std::string word = word_characters(cursor_).expression();
        add_nothing(is_boundary ? format("(?:(?<={0})(?!{0})|(?<!{0})(?={0}))", word)
                                : format("(?:(?<={0})(?={0})|(?<!{0})(?!{0}))", word));
    }

    /// `\1` to `\9`; more digits may be a code or a group, which depends on how many there are.
    void read_reference() {
        const std::string_view rest = cursor_.rest();
        if (rest.size() > 1 && is_digit(rest[1])) {
            if (rest.size() > 2 && is_digit(rest[2])) {
                add_literal(take_character_escape(cursor_));
                return;
            }
            cursor_.refuse(format(R"(the escape \{})", rest.substr(0, 2)));
        }
        add_atom(format(R"(\g{{{}}})", rest.substr(0, 1)));
        cursor_.skip(1);
    }

    std::string_view take_name() {
        const std::string_view name = cursor_.take_until('>');
        const auto is_part = [](char c) {
            return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        };
        if (name.empty() || is_digit(name.front()) || !std::ranges::all_of(name, is_part)) {
            cursor_.refuse(format("a group with the name {}", in_quotes(name)));
        }
        return name;
    }

    void push_group(std::string_view opening, bool is_assertion = false) {
        groups_.push_back({.begin = result_.size(),
                           .is_assertion = is_assertion,
                           .ignored_case = cursor_.ignores_case});
        add_nothing(opening);
    }

    void open_group() {
        if (cursor_.take("?#")) {
            static_cast<void>(cursor_.take_until(')'));
            return;
        }
        for (const std::string_view opening : {"?=", "?!", "?<=", "?<!"}) {
            if (cursor_.take(opening)) {
                push_group("(" + std::string(opening), true);
                return;
            }
        }
        for (const std::string_view opening : {"?:", "?>"}) {
            if (cursor_.take(opening)) {
                push_group("(" + std::string(opening));
                return;
            }
        }
        if (cursor_.take("?<") || (!cursor_.is_oniguruma() && cursor_.take("?P<"))) {
            push_group(format("(?<{}>", take_name()));
        } else if (cursor_.take("?")) {
            read_options();
        } else if (cursor_.sees("*")) {
            cursor_.refuse("(*");
        } else {
            push_group("(");
        }
    }

    /// `i:` of `(?i:…)`, `i)` of `(?i)`.
    void read_options() {
        const std::size_t length =
            std::min(cursor_.rest().find_first_not_of("im-s"), cursor_.rest().size());
        const std::string_view letters = cursor_.rest().substr(0, length);
        cursor_.skip(length);
        const bool is_scoped = cursor_.take(":");
        const bool is_taken = !letters.empty() && (is_scoped || cursor_.take(")"));
        // Oniguruma's m is PCRE2's s; fancy-regex's m tells another end of a line than PCRE2's.
        if (!is_taken ||
            letters.find(cursor_.is_oniguruma() ? 's' : 'm') != std::string_view::npos) {
            cursor_.refuse(format("(?{}{}", letters, cursor_.rest().substr(0, 1)));
        }
        std::string spelled(letters);
        std::ranges::replace(spelled, 'm', 's');
        const bool ignored_case = cursor_.ignores_case;
        const std::size_t minus = std::min(letters.find('-'), letters.size());
        if (const std::size_t at = letters.find('i'); at != std::string_view::npos) {
            cursor_.ignores_case = at < minus;
        }
        if (is_scoped) {
            push_group(format("(?{}:", spelled));
            groups_.back().ignored_case = ignored_case;
        } else if (cursor_.is_oniguruma()) {
            // a(?i)b|c is a(?i:b|c) in Oniguruma.
            ++groups_.back().scopes;
            add_nothing(format("(?{}:", spelled));
        } else {
            add_nothing(format("(?{})", spelled));
        }
    }

    void close_group() {
        if (groups_.size() == 1) {
            cursor_.refuse("a ) without its (");
        }
        const Group group = groups_.back();
        groups_.pop_back();
        result_.append(group.scopes + 1, ')');
        cursor_.ignores_case = group.ignored_case;
        kind_ = group.is_assertion ? Kind::nothing : Kind::atom;
        last_ = group.begin;
        literal_.reset();
    }

    struct Quantifier {
        std::string text;
        bool is_interval = false;
        bool is_fixed = false;  ///< {3}
    };

    std::optional<Quantifier> take_quantifier() {
        for (const std::string_view sign : {"*", "+", "?"}) {
            if (cursor_.take(sign)) {
                return Quantifier{.text = std::string(sign)};
            }
        }
        return cursor_.sees("{") ? take_interval() : std::nullopt;
    }

    /// {3} {3,} {3,5} {,5}; anything else in braces is text in Oniguruma.
    std::optional<Quantifier> take_interval() {
        const std::string_view inside = cursor_.rest().substr(1, cursor_.rest().find('}') - 1);
        const std::size_t comma = inside.find(',');
        const std::string_view least = inside.substr(0, comma);
        const std::string_view most =
            comma == std::string_view::npos ? std::string_view() : inside.substr(comma + 1);
        const bool is_interval = cursor_.rest().find('}') != std::string_view::npos &&
                                 !(least.empty() && most.empty()) &&
                                 std::ranges::all_of(least, is_digit) &&
                                 std::ranges::all_of(most, is_digit);
        if (!is_interval || (least.empty() && !cursor_.is_oniguruma())) {
            if (!cursor_.is_oniguruma()) {
                cursor_.refuse("a { that begins no interval");
            }
            return std::nullopt;
        }
        cursor_.skip(inside.size() + 2);
        return Quantifier{.text = format("{{{}{}{}}}",
                                         least.empty() ? "0" : least,
                                         comma == std::string_view::npos ? "" : ",",
                                         most),
                          .is_interval = true,
                          .is_fixed = comma == std::string_view::npos};
    }

    void add_quantifier(Quantifier quantifier) {
        if (kind_ == Kind::nothing) {
            cursor_.refuse(format("{} after nothing to repeat", quantifier.text));
        }
        // In Oniguruma {3}? is ({3})? and {1,3}+ is ({1,3})+.
        const bool is_oniguruma = cursor_.is_oniguruma();
        if (!(is_oniguruma && quantifier.is_fixed) && cursor_.take("?")) {
            quantifier.text += "?";
        } else if (!(is_oniguruma && quantifier.is_interval) && cursor_.take("+")) {
            quantifier.text += "+";
        }
        if (kind_ == Kind::quantified) {
            result_.insert(last_, "(?:");
            result_ += ")";
        }
        result_ += quantifier.text;
        kind_ = Kind::quantified;
        literal_.reset();
    }

    ExpressionCursor cursor_;
    std::string result_{};
    std::vector<Group> groups_{Group{}};
    Kind kind_ = Kind::nothing;
    std::size_t last_ = 0;               ///< where what a quantifier repeats begins in the result
    std::optional<char32_t> literal_{};  ///< the character before, where it is one
};

}  // namespace

std::string translate_expression(std::string_view pattern, Dialect dialect) {
    return Translator(pattern, dialect).run();
}

}  // namespace anamnesis::language
