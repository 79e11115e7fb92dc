// SPDX-License-Identifier: Apache-2.0
#include "lexer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

#include "code_points.hpp"

namespace anamnesis::language::jinja {
namespace {

constexpr std::size_t npos = std::string_view::npos;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_name_character(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

std::string unify_newlines(std::string_view source) {
    std::string text;
    text.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r') {
            text.push_back('\n');
            i += i + 1 < source.size() && source[i + 1] == '\n' ? 1 : 0;
        } else {
            text.push_back(source[i]);
        }
    }
    if (text.ends_with('\n')) {
        text.pop_back();
    }
    return text;
}

class Lexer {
public:
    explicit Lexer(std::string_view source) : source_(unify_newlines(source)), text_(source_) {}

    std::vector<Token> run() {
        while (at_ < text_.size()) {
            read_data();
        }
        add(TokenKind::end, {});
        return std::move(tokens_);
    }

private:
    enum class Tag : char { block = '%', variable = '{', comment = '#' };

    [[noreturn]] void fail(const std::string& what, int line) const {
        throw Error(ErrorKind::malformed, format("line {}: {}", line, what));
    }

    void add(TokenKind kind, std::string value) {
        tokens_.push_back({.kind = kind, .value = std::move(value), .line = line_});
    }

    void advance_to(std::size_t end) {
        line_ += static_cast<int>(std::ranges::count(text_.substr(at_, end - at_), '\n'));
        if (end > at_) {
            is_line_start_ = text_[end - 1] == '\n';
        }
        at_ = end;
    }

    void skip_white_space() {
        const std::string_view rest = text_.substr(at_);
        advance_to(text_.size() - strip_left(rest).size());
    }

    std::size_t find_tag() const {
        for (std::size_t at = text_.find('{', at_); at != npos; at = text_.find('{', at + 1)) {
            if (at + 1 < text_.size() && std::string_view("%{#").find(text_[at + 1]) != npos) {
                return at;
            }
        }
        return npos;
    }

    /// Text before a tag that begins at `tag`, less the white space that goes with the tag.
    std::string_view cut_data(std::size_t tag, char sign, bool is_variable) const {
        const std::string_view data = text_.substr(at_, tag - at_);
        if (sign == '-') {
            return strip_right(data);
        }
        if (sign == '+' || is_variable) {
            return data;
        }
        const std::size_t newline = data.rfind('\n');
        const std::size_t begin = newline == npos ? 0 : newline + 1;
        const bool begins_line = begin > 0 || is_line_start_;
        return begins_line && strip_left(data.substr(begin)).empty() ? data.substr(0, begin) : data;
    }

    char read_sign(std::size_t at) const {
        return at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at] : ' ';
    }

    void add_data(std::string_view data) {
        if (!data.empty()) {
            add(TokenKind::data, std::string(data));
        }
    }
    /// Text up to a tag, and the tag.
    void read_data() {
        const std::size_t tag = find_tag();
        if (tag == npos) {
            add_data(text_.substr(at_));
            advance_to(text_.size());
            return;
        }
        const Tag kind{text_[tag + 1]};
        std::size_t inside = tag + 2;
        const char sign = read_sign(inside);
        inside += sign == ' ' ? 0 : 1;
        add_data(cut_data(tag, sign, kind == Tag::variable));
        advance_to(tag);
        const int line = line_;
        if (kind == Tag::comment) {
            read_comment(inside, line);
        } else if (const auto body = kind == Tag::block ? find_raw(inside) : std::nullopt) {
            read_raw(*body, line);
        } else {
            advance_to(inside);
            read_tag(kind == Tag::block, line);
        }
    }

    void read_comment(std::size_t inside, int line) {
        const std::size_t end = text_.find("#}", inside);
        if (end == npos) {
            fail("the comment that begins here does not end", line);
        }
        const char sign = end > inside ? read_sign(end - 1) : ' ';
        advance_to(end + 2);
        end_block(sign);
    }

    /// After the end of a block or comment: a minus takes all white space, otherwise one newline
    /// goes.
    void end_block(char sign) {
        if (sign == '-') {
            skip_white_space();
        } else if (sign != '+' && at_ < text_.size() && text_[at_] == '\n') {
            advance_to(at_ + 1);
        }
    }

    /// Where the body of `{% raw %}` begins, if the block at `inside` is one.
    std::optional<std::size_t> find_raw(std::size_t inside) const {
        std::string_view rest = strip_left(text_.substr(inside));
        if (!rest.starts_with("raw")) {
            return std::nullopt;
        }
        rest = strip_left(rest.substr(3));
        if (rest.starts_with("-%}")) {
            return text_.size() - strip_left(rest.substr(3)).size();
        }
        return rest.starts_with("%}") ? std::optional(text_.size() - rest.size() + 2)
                                      : std::nullopt;
    }

    void read_raw(std::size_t body, int line) {
        advance_to(body);
        for (std::size_t tag = text_.find("{%", at_); tag != npos;
             tag = text_.find("{%", tag + 1)) {
            const char sign = read_sign(tag + 2);
            std::string_view rest = strip_left(text_.substr(tag + (sign == ' ' ? 2 : 3)));
            if (!rest.starts_with("endraw")) {
                continue;
            }
            rest = strip_left(rest.substr(6));
            const char last = rest.empty() ? ' ' : rest.front();
            const bool is_signed = last == '-' || last == '+';
            if (!rest.substr(is_signed ? 1 : 0).starts_with("%}")) {
                continue;
            }
            add_data(cut_data(tag, sign, false));
            advance_to(text_.size() - rest.size() + (is_signed ? 3 : 2));
            end_block(is_signed ? last : ' ');
            return;
        }
        fail("the raw block that begins here does not end", line);
    }

    void read_tag(bool is_block, int line) {
        add(is_block ? TokenKind::block_begin : TokenKind::variable_begin, {});
        std::vector<char> open;
        while (true) {
            skip_white_space();
            if (at_ >= text_.size()) {
                fail("the tag that begins here does not end", line);
            }
            if (open.empty() && read_tag_end(is_block)) {
                return;
            }
            read_token(open);
        }
    }

    bool read_tag_end(bool is_block) {
        const std::string_view close = is_block ? "%}" : "}}";
        const std::string_view rest = text_.substr(at_);
        const char sign = read_sign(at_);
        const bool is_signed = sign == '-' || (is_block && sign == '+');
        if (!rest.substr(is_signed ? 1 : 0).starts_with(close)) {
            return false;
        }
        add(is_block ? TokenKind::block_end : TokenKind::variable_end, {});
        advance_to(at_ + close.size() + (is_signed ? 1 : 0));
        if (is_block) {
            end_block(is_signed ? sign : ' ');
        } else if (is_signed) {
            skip_white_space();
        }
        return true;
    }

    void read_token(std::vector<char>& open) {
        const char c = text_[at_];
        if (is_digit(c)) {
            read_number();
        } else if (is_name_character(c)) {
            std::size_t end = at_;
            while (end < text_.size() && is_name_character(text_[end])) {
                ++end;
            }
            add(TokenKind::name, std::string(text_.substr(at_, end - at_)));
            advance_to(end);
        } else if (c == '"' || c == '\'') {
            read_string(c);
        } else {
            read_mark(open);
        }
    }

    /// Digits with single underscores between them, from `at`.
    std::size_t skip_digits(std::size_t at) const {
        while (at < text_.size() &&
               (is_digit(text_[at]) ||
                (text_[at] == '_' && at + 1 < text_.size() && is_digit(text_[at + 1])))) {
            ++at;
        }
        return at;
    }

    void read_number() {
        std::size_t end = skip_digits(at_);
        const bool is_prefixed = text_[at_] == '0' && at_ + 1 < text_.size() &&
                                 std::string_view("xXoObB").find(text_[at_ + 1]) != npos;
        if (is_prefixed) {
            fail("numbers with the prefixes 0x, 0o and 0b are not supported", line_);
        }
        bool is_real = false;
        if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
            is_real = true;
            end = skip_digits(end + 1);
        }
        if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
            std::size_t digits = end + 1;
            digits +=
                digits < text_.size() && (text_[digits] == '+' || text_[digits] == '-') ? 1 : 0;
            if (digits < text_.size() && is_digit(text_[digits])) {
                is_real = true;
                end = skip_digits(digits);
            }
        }
        std::string number(text_.substr(at_, end - at_));
        std::erase(number, '_');
        add(is_real ? TokenKind::real : TokenKind::integer, std::move(number));
        advance_to(end);
    }

    void read_string(char quote) {
        std::size_t end = at_ + 1;
        while (end < text_.size() && text_[end] != quote) {
            end += text_[end] == '\\' ? 2 : 1;
        }
        if (end >= text_.size()) {
            fail("the string that begins here does not end", line_);
        }
        add(TokenKind::text, resolve_escapes(text_.substr(at_ + 1, end - at_ - 1)));
        advance_to(end + 1);
    }

    std::string resolve_escapes(std::string_view raw) const {
        constexpr std::string_view letters = "abfnrtv\\'\"";
        constexpr std::string_view values = "\a\b\f\n\r\t\v\\'\"";
        std::string text;
        for (std::size_t i = 0; i < raw.size(); ++i) {
            if (raw[i] != '\\') {
                text.push_back(raw[i]);
                continue;
            }
            const char letter = raw[++i];
            if (const std::size_t known = letters.find(letter); known != npos) {
                text.push_back(values[known]);
            } else if (letter == 'x' || letter == 'u' || letter == 'U') {
                const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
                append_utf8(text, read_code(raw.substr(i + 1), digits));
                i += digits;
            } else if (letter >= '0' && letter <= '7') {
                char32_t code = 0;
                const std::size_t last = std::min(i + 3, raw.size());
                while (i < last && raw[i] >= '0' && raw[i] <= '7') {
                    code = code * 8 + static_cast<char32_t>(raw[i++] - '0');
                }
                --i;
                append_utf8(text, code);
            } else if (letter == 'N') {
                fail("characters by their Unicode names are not supported", line_);
            } else if (letter != '\n') {
                text.push_back('\\');
                text.push_back(letter);
            }
        }
        return text;
    }

    char32_t read_code(std::string_view text, std::size_t digits) const {
        char32_t code = 0;
        constexpr char32_t last_code = 0x10FFFF;
        if (text.size() < digits) {
            fail("an escape in a string has too few digits", line_);
        }
        for (const char c : text.substr(0, digits)) {
            const std::size_t digit =
                std::string_view("0123456789abcdef")
                    .find(c >= 'A' && c <= 'F' ? static_cast<char>(c + 0x20) : c);
            if (digit == npos) {
                fail("an escape in a string has a character that is no digit", line_);
            }
            code = code * 16 + static_cast<char32_t>(digit);
        }
        if (code > last_code || (code >= 0xD800 && code <= 0xDFFF)) {
            fail("an escape in a string is no character", line_);
        }
        return code;
    }

    void read_mark(std::vector<char>& open) {
        constexpr std::array<std::string_view, 24> marks{
            "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~",
            "[",  "]",  "(",  ")",  "{",  "}",  ">", "<", "=", ".", ":", "|"};
        const std::string_view rest = text_.substr(at_);
        std::string_view mark = rest.front() == ',' ? rest.substr(0, 1) : std::string_view();
        for (const std::string_view known : marks) {
            if (mark.empty() && rest.starts_with(known)) {
                mark = known;
            }
        }
        if (mark.empty()) {
            std::size_t end = 1;
            while (end < rest.size() && (static_cast<unsigned char>(rest[end]) & 0xC0U) == 0x80U) {
                ++end;
            }
            fail(format("{} has no meaning here", in_quotes(rest.substr(0, end))), line_);
        }
        const char c = mark.front();
        if (c == '(' || c == '[' || c == '{') {
            open.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
        } else if (c == ')' || c == ']' || c == '}') {
            if (open.empty() || open.back() != c) {
                fail(format("'{}' closes nothing", c), line_);
            }
            open.pop_back();
        }
        add(TokenKind::mark, std::string(mark));
        advance_to(at_ + mark.size());
    }

    std::string source_;
    std::string_view text_;
    std::size_t at_ = 0;
    int line_ = 1;
    bool is_line_start_ = true;
    std::vector<Token> tokens_{};
};

}  // namespace

std::vector<Token> tokenise(std::string_view source) {
    return Lexer(source).run();
}

}  // namespace anamnesis::language::jinja
