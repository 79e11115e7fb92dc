// SPDX-License-Identifier: Apache-2.0
#include "grading/tokens.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grading/characters.hpp"
#include "grading/latex_commands.hpp"
#include "grading/number_lexer.hpp"
#include "grading/unicode_math.hpp"
#include "grading/word_list.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr int deepest_text = 16;

bool is_word_byte(char c) {
    return is_letter(c) || static_cast<unsigned char>(c) >= 0x80;
}

/// Reads one answer; `text` has gone through unicode_to_latex.
class Lexer {
public:
    Lexer(Commas commas, std::vector<Token>& tokens) : commas_(commas), tokens_(tokens) {}

    void run(std::string_view text, bool is_text, int depth) {
        std::size_t position = 0;
        while (position < text.size() && tokens_.size() < largest_token_count) {
            step(text, position, is_text, depth);
        }
    }

private:
    void add(TokenKind kind, std::string text, bool is_text) {
        const bool is_upright = is_upright_ || level_ >= upright_level_;
        tokens_.push_back({kind, std::move(text), has_space_, is_text, is_upright});
        has_space_ = false;
    }

    void step(std::string_view text, std::size_t& position, bool is_text, int depth) {
        const char c = text[position];
        if (is_space(c) || c == '~') {
            has_space_ = true;
            ++position;
        } else if (c == '\\') {
            command(text, position, is_text, depth);
        } else if (is_digit(c) ||
                   (c == '.' && position + 1 < text.size() && is_digit(text[position + 1]))) {
            add(TokenKind::number, lex_number(text, position, commas_), is_text);
        } else if (is_word_byte(c)) {
            letters(text, position, is_text);
        } else if (c == '"' || c == '`' || c == '$' || static_cast<unsigned char>(c) < ' ') {
            ++position;  // money is "\\$"
        } else if (c == '*' && position + 1 < text.size() && text[position + 1] == '*') {
            position += 2;  // bold, or a power in a programming language
            if (is_power(text, position)) {
                add(TokenKind::symbol, "^", is_text);
            }
        } else {
            add(TokenKind::symbol, std::string(1, c), is_text);
            count_group(c);
            ++position;
        }
    }

    /// What \rm began ends with its group.
    void count_group(char c) {
        level_ += c == '{' ? 1 : c == '}' ? -1 : 0;
        upright_level_ = level_ < upright_level_ ? nowhere : upright_level_;
    }

    bool is_power(std::string_view text, std::size_t position) const {
        return !tokens_.empty() && tokens_.back().kind != TokenKind::symbol && !has_space_ &&
               position < text.size() && is_digit(text[position]);
    }

    void letters(std::string_view text, std::size_t& position, bool is_text) {
        const std::size_t begin = position;
        while (position < text.size() && is_word_byte(text[position])) {
            ++position;
        }
        std::string_view run = text.substr(begin, position - begin);
        // "well-known" and "don't" are one word; "ab-cd" in mathematics is a difference.
        while (position + 1 < text.size() && (text[position] == '-' || text[position] == '\'') &&
               run.size() >= 3 && is_word_byte(text[position + 1]) &&
               (is_text || run.size() >= 4 || is_long_word(text, position + 1))) {
            ++position;
            while (position < text.size() && is_word_byte(text[position])) {
                ++position;
            }
            run = text.substr(begin, position - begin);
        }
        if (!is_text && run.size() == 1) {
            add(TokenKind::letter, std::string(run), is_text);
        } else if (!is_text && contains(plain_functions, run)) {
            add(TokenKind::command, synonym(run), is_text);
        } else {
            add(TokenKind::word, std::string(run), is_text);
        }
    }

    static bool is_long_word(std::string_view text, std::size_t position) {
        std::size_t length = 0;
        while (position + length < text.size() && is_word_byte(text[position + length])) {
            ++length;
        }
        return length >= 4;
    }

    static std::string synonym(std::string_view name) {
        for (const auto& [from, to] : synonyms) {
            if (from == name) {
                return std::string(to);
            }
        }
        return std::string(name);
    }

    void command(std::string_view text, std::size_t& position, bool is_text, int depth) {
        ++position;
        if (position >= text.size()) {
            return;
        }
        const char first = text[position];
        if (!is_letter(first)) {
            ++position;
            special(first, is_text);
            position += first == '\\' ? row_skip(text.substr(position)) : 0;
            return;
        }
        const std::size_t begin = position;
        while (position < text.size() && is_letter(text[position])) {
            ++position;
        }
        const std::string_view name = text.substr(begin, position - begin);
        if (contains(ignored_commands, name)) {
            upright_level_ = contains(upright_switches, name) ? level_ : upright_level_;
            skip_no_delimiter(text, position);
        } else if (const int count = count_arguments(name); count >= 0) {
            skip_arguments(text, position, count);
        } else if (contains(spacing_commands, name)) {
            has_space_ = true;
        } else if (contains(transparent_commands, name) || name.starts_with("boxed")) {
            // "\boxed42" boxes what follows.
        } else if (contains(text_commands, name) || contains(font_commands, name) ||
                   is_blackboard(name)) {
            font(name, text, position, is_text, depth);
        } else {
            named(name, is_text);
        }
    }

    void special(char c, bool is_text) {
        if (c == ',' || c == ';' || c == ':' || c == ' ' || c == '\n') {
            has_space_ = true;
        } else if (c == '{' || c == '}') {
            add(TokenKind::symbol, std::string("\\") + c, is_text);
        } else if (c == '\\') {
            add(TokenKind::command, "\\", is_text);
        } else if (c == '|') {
            add(TokenKind::symbol, "|", is_text);
        } else if (c == '$' || c == '%' || c == '&' || c == '#') {
            add(c == '$' ? TokenKind::command : TokenKind::symbol,
                c == '$' ? "dollar" : std::string(1, c),
                is_text);
        }
        // \! and the delimiters \( \) \[ \] say nothing.
    }

    /// The length of "[4pt]" after a row break.
    static std::size_t row_skip(std::string_view rest) {
        const std::size_t close = rest.substr(0, 12).find(']');
        const bool is_length = rest.starts_with('[') && close != std::string_view::npos &&
                               close > 2 && is_letter(rest[close - 1]);
        return is_length ? close + 1 : 0;
    }

    static bool is_blackboard(std::string_view name) { return name == "mathbb" || name == "Bbb"; }

    /// -1 for a command that has none to be left out.
    static int count_arguments(std::string_view name) {
        const auto found = std::ranges::find(
            commands_with_arguments, name, &std::pair<std::string_view, int>::first);
        return found == commands_with_arguments.end() ? -1 : found->second;
    }

    /// A star, "[rgb]" and `count` groups in braces.
    static void skip_arguments(std::string_view text, std::size_t& position, int count) {
        position += position < text.size() && text[position] == '*' ? 1 : 0;
        while (position < text.size() && is_space(text[position])) {
            ++position;
        }
        if (position < text.size() && text[position] == '[') {
            const std::size_t close = text.find(']', position);
            position = close == std::string_view::npos ? position : close + 1;
        }
        for (; count > 0 && position < text.size() && text[position] == '{'; --count) {
            position = end_of_group(text, position);
        }
    }

    /// The place after the brace that closes the one at `position`; the end where none does.
    static std::size_t end_of_group(std::string_view text, std::size_t position) {
        std::size_t open = 0;
        for (; position < text.size(); ++position) {
            if (text[position] == '\\') {
                ++position;
            } else if (text[position] == '{') {
                ++open;
            } else if (text[position] == '}' && --open == 0) {
                return position + 1;
            }
        }
        return text.size();
    }

    /// The invisible delimiter of "\left." and "\right.".
    static void skip_no_delimiter(std::string_view text, std::size_t& position) {
        if (position < text.size() && text[position] == '.' &&
            (position + 1 == text.size() || !is_digit(text[position + 1]))) {
            ++position;
        }
    }

    void named(std::string_view name, bool is_text) {
        std::string meaning = synonym(name);
        const bool is_symbol = meaning.size() == 1 && !is_letter(meaning.front());
        if (meaning == "and" || meaning == "or") {
            add(TokenKind::word, std::move(meaning), true);
        } else if (meaning == "i") {
            add(TokenKind::letter, std::move(meaning), is_text);
        } else {
            add(is_symbol || meaning.starts_with('\\') ? TokenKind::symbol : TokenKind::command,
                std::move(meaning),
                is_text);
        }
    }

    void font(std::string_view name,
              std::string_view text,
              std::size_t& position,
              bool is_text,
              int depth) {
        while (position < text.size() && is_space(text[position])) {
            ++position;
        }
        if (is_blackboard(name) && position < text.size() && is_upper(text[position])) {
            add(TokenKind::command, "bb" + std::string(1, text[position++]), is_text);
            return;
        }
        if (position >= text.size() || text[position] != '{' || depth >= deepest_text) {
            return;
        }
        const std::size_t begin = position + 1;
        position = end_of_group(text, position);
        const bool is_closed = position > begin && text[position - 1] == '}';
        const std::size_t end = is_closed ? position - 1 : position;
        const std::string_view content = text.substr(begin, end - begin);
        const bool is_word = std::ranges::all_of(content, is_letter) && content.size() > 1;
        if (is_blackboard(name)) {
            add(TokenKind::command, "bb" + std::string(trim(content)), is_text);
        } else if (contains(plain_functions, content)) {
            add(TokenKind::command, synonym(content), is_text);
        } else if (content == "i") {
            add(TokenKind::letter, "i", is_text);
        } else if (contains(text_commands, name) && name != "operatorname") {
            run(content, true, depth + 1);
        } else if (is_word) {
            add(TokenKind::word, std::string(content), true);
        } else {
            const bool was_upright = std::exchange(is_upright_, contains(upright_fonts, name));
            run(content, is_text, depth + 1);
            is_upright_ = was_upright;
        }
    }

    static constexpr int nowhere = std::numeric_limits<int>::max();

    Commas commas_;
    std::vector<Token>& tokens_;
    bool has_space_ = false;
    bool is_upright_ = false;      // within \mathrm{…}
    int level_ = 0;                // of groups in braces
    int upright_level_ = nowhere;  // the level of the last \rm whose group goes on
};

bool is_sign(const Token& token) {
    return token.is_symbol("-") || token.is_symbol("+") || token.is_symbol("=") ||
           token.is_symbol(",") || token.is_symbol("<") || token.is_symbol(">") ||
           token.is_symbol(":");
}

/// Line ends and arrows before the answer; full stops and line ends after it.
void strip_ends(std::vector<Token>& tokens) {
    const auto is_lead = [](const Token& token) {
        return token.text == "\\" || token.is_command("Rightarrow") ||
               token.is_command("implies") || token.is_command("Longrightarrow") ||
               token.is_command("to") || token.is_command("rightarrow");
    };
    const auto is_full_stop = [](const Token& token) {
        return token.is_symbol(".") || token.is_symbol(",") || token.is_symbol(";") ||
               token.is_symbol(":") || token.is_symbol("?") || token.text == "\\";
    };
    while (!tokens.empty() && is_full_stop(tokens.back())) {
        tokens.pop_back();
    }
    tokens.erase(tokens.begin(), std::ranges::find_if_not(tokens, is_lead));
}

/// "1.2 x 10^5": an x between two numbers is a sign.
void name_products(std::vector<Token>& tokens) {
    for (std::size_t i = 1; i + 1 < tokens.size(); ++i) {
        const bool is_x = tokens[i].text == "x" || tokens[i].text == "X";
        if (is_x && tokens[i].kind != TokenKind::command &&
            tokens[i - 1].kind == TokenKind::number && tokens[i + 1].kind == TokenKind::number) {
            tokens[i] = {TokenKind::command, "times", tokens[i].has_space_before, false};
        }
    }
}

}  // namespace

std::vector<Token> tokenise(std::string_view text, Commas commas) {
    std::vector<Token> read;
    Lexer(commas, read).run(unicode_to_latex(text), false, 0);
    std::vector<Token> tokens;
    tokens.reserve(read.size());
    for (std::size_t i = 0; i < read.size(); ++i) {
        // {-}3 and a{=}b: braces around a sign set its spacing alone.
        const bool is_wrapped_sign = i + 2 < read.size() && read[i].is_symbol("{") &&
                                     read[i + 2].is_symbol("}") && is_sign(read[i + 1]);
        i += is_wrapped_sign ? 1 : 0;
        tokens.push_back(std::move(read[i]));
        i += is_wrapped_sign ? 1 : 0;
    }
    strip_ends(tokens);
    name_products(tokens);
    return tokens;
}

std::string canonical(Tokens tokens) {
    std::string text;
    for (const Token& token : tokens) {
        if (token.kind == TokenKind::word) {
            text += " " + lower(token.text) + " ";
        } else if (token.kind == TokenKind::command) {
            text += "\\" + token.text + " ";
        } else {
            text += token.text;
            text += token.kind == TokenKind::number ? " " : "";
        }
    }
    return text;
}

}  // namespace anamnesis::eval::grading
