// SPDX-License-Identifier: Apache-2.0
#include "grading/boxes.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "grading/characters.hpp"

namespace anamnesis::eval::grading {
namespace {

constexpr std::size_t longest_gap = 80;

/// Length of "\boxed", "\fbox", "boxed" (before a brace) at `position`, 0 for none.
std::size_t command_length(std::string_view text, std::size_t position) {
    if (text[position] != '\\' && text[position] != 'b') {
        return 0;
    }
    const std::string_view rest = text.substr(position);
    for (const std::string_view command : {std::string_view("\\boxed"),
                                           std::string_view("\\fbox"),
                                           std::string_view("\\Boxed"),
                                           std::string_view("\\framebox")}) {
        if (rest.starts_with(command)) {
            return command.size();
        }
    }
    const bool follows_letter = position > 0 && is_letter(text[position - 1]);
    return !follows_letter && rest.starts_with("boxed{") ? 5 : 0;
}

/// "\boxed 5", "\boxed42", "\boxed\frac12": up to a space, a delimiter or the end.
Box unbraced(std::string_view text, std::size_t begin, std::size_t after) {
    std::size_t position = after;
    while (position < text.size() && (text[position] == ' ' || text[position] == '\t')) {
        ++position;
    }
    const std::size_t start = position;
    int level = 0;
    while (position < text.size() && position - start < 200) {
        const char c = text[position];
        level += c == '{' ? 1 : c == '}' ? -1 : 0;
        if (level < 0 || c == '$' || c == '\n' ||
            (level == 0 && (is_space(c) || text.substr(position).starts_with("\\)") ||
                            text.substr(position).starts_with("\\]")))) {
            break;
        }
        ++position;
    }
    std::string_view content = text.substr(start, position - start);
    while (!content.empty() && (content.back() == '.' || content.back() == ',')) {
        content.remove_suffix(1);
    }
    return {begin, position, content};
}

bool is_label_character(char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '{' || c == '}' || c == '\\' ||
           c == ' ' || c == '(' || c == ')';
}

void blank(std::string& text, std::string_view noise) {
    for (std::size_t at = text.find(noise); at != std::string::npos; at = text.find(noise)) {
        text.replace(at, noise.size(), noise.size(), ' ');
    }
}

constexpr auto label_nouns = std::to_array<std::string_view>(
    {"part", "case", "question", "root", "solution", "value", "for", "zero"});
constexpr auto label_orders = std::to_array<std::string_view>({"first",
                                                               "second",
                                                               "third",
                                                               "fourth",
                                                               "fifth",
                                                               "smallest",
                                                               "smaller",
                                                               "largest",
                                                               "larger",
                                                               "greatest",
                                                               "greater",
                                                               "lesser",
                                                               "other",
                                                               "positive",
                                                               "negative"});

/// Takes "first", "smaller" and "root" off, and "answer" where an order or a number tells it from
/// the answer to all. True where there was any.
bool remove_label_words(std::string_view& text) {
    const std::string_view whole = text;
    bool has_any = false;
    bool has_order = false;
    for (bool goes_on = true; goes_on;) {
        goes_on = false;
        for (const std::string_view word : label_orders) {
            if (text.starts_with(word) &&
                (text.size() == word.size() || !is_letter(text[word.size()]))) {
                text = trim(text.substr(word.size()));
                has_order = goes_on = has_any = true;
            }
        }
        for (const std::string_view word : label_nouns) {
            if (text.starts_with(word)) {
                text = trim(text.substr(word.size()));
                goes_on = has_any = true;
            }
        }
    }
    constexpr std::string_view answer = "answer";
    if (text.starts_with(answer)) {
        const std::string_view rest = trim(text.substr(answer.size()));
        const bool has_number = !rest.empty() && (is_digit(rest.front()) || rest.front() == '(');
        if (has_order || has_number) {
            text = rest;
            has_any = true;
        }
    }
    // "First step:" is no label of an answer.
    const bool is_other_thing =
        has_order && text.size() > 1 && is_letter(text[0]) && is_letter(text[1]);
    if (is_other_thing) {
        text = whole;
    }
    return has_any && !is_other_thing;
}

/// Words that say of a box that it takes the place of those before it.
constexpr auto label_verdicts = std::to_array<std::string_view>(
    {"total", "final", "step", "sum", "so", "no", "oops", "thus", "hence", "then", "wait", "now"});

/// "- ", "2. ", "(b) ", "Case 2:", "Smaller root:", "x =" before a box on a line of its own.
bool is_line_label(std::string_view text) {
    text = trim(text);
    while (!text.empty() && std::string_view("-*+>").find(text.front()) != std::string_view::npos) {
        text = trim(text.substr(1));
    }
    for (const std::string_view mark : {std::string_view("•"), std::string_view("–")}) {
        text = text.starts_with(mark) ? trim(text.substr(mark.size())) : text;
    }
    remove_label_words(text);
    const auto begins = [&](std::string_view word) {
        return text.starts_with(word) &&
               (text.size() == word.size() || !is_letter(text[word.size()]));
    };
    if (std::ranges::any_of(label_verdicts, begins)) {
        return false;
    }
    while (!text.empty() && (text.back() == '*' || text.back() == ':' || text.back() == '=' ||
                             text.back() == '.' || text.back() == ' ')) {
        text.remove_suffix(1);
    }
    return text.size() <= 6 && std::ranges::all_of(text, is_label_character);
}

/// "(first root)" after a box says what it is; "(extraneous)" takes it back.
bool is_remark(std::string_view text) {
    if (text.size() < 3 || text.front() != '(' || text.back() != ')') {
        return false;
    }
    text = trim(text.substr(1, text.size() - 2));
    if (text.starts_with("the ")) {
        text = trim(text.substr(4));
    }
    const bool has_words = remove_label_words(text);
    return has_words && text.size() <= 2 &&
           std::ranges::all_of(text, [](char c) { return is_letter(c) || is_digit(c); });
}

/// True where each box is on a line of its own, with a list's mark or a label before it.
bool is_next_line(std::string_view gap) {
    std::string text;
    for (const char c : gap) {
        text += lower(c);
    }
    for (const std::string_view noise : {std::string_view("\\text"),
                                         std::string_view("\\quad"),
                                         std::string_view("\\item"),
                                         std::string_view("\\("),
                                         std::string_view("\\)"),
                                         std::string_view("\\["),
                                         std::string_view("\\]"),
                                         std::string_view("$"),
                                         std::string_view("**")}) {
        blank(text, noise);
    }
    for (std::size_t at = text.find("\\\\"); at != std::string::npos; at = text.find("\\\\")) {
        text.replace(at, 2, "\n ");
    }
    const std::size_t first = text.find('\n');
    if (first == std::string::npos) {
        return false;
    }
    const std::size_t last = text.rfind('\n');
    const std::string_view all = text;
    std::string_view end = trim(all.substr(0, first));
    while (!end.empty() && (end.back() == '.' || end.back() == ',' || end.back() == ';')) {
        end.remove_suffix(1);
    }
    return (end.empty() || is_remark(end)) && trim(all.substr(first, last - first)).empty() &&
           is_line_label(all.substr(last));
}

/// True where the text between two boxes makes them one answer.
bool connects(std::string_view gap) {
    if (gap.size() > longest_gap) {
        return false;
    }
    if (is_next_line(gap)) {
        return true;
    }
    std::string text;
    for (const char c : gap) {
        text += c == '$' || c == '\n' ? ' ' : lower(c);
    }
    for (const std::string_view noise : {std::string_view("\\text"),
                                         std::string_view("\\quad"),
                                         std::string_view("\\("),
                                         std::string_view("\\)"),
                                         std::string_view("\\ "),
                                         std::string_view("\\,")}) {
        blank(text, noise);
    }
    std::string_view rest = trim(text);
    // A label such as "x =" or "x_2 =" before the second box.
    if (rest.ends_with('=')) {
        rest.remove_suffix(1);
        const std::size_t stop = rest.find_last_of(",;&");
        std::string_view label = trim(rest.substr(stop == std::string_view::npos ? 0 : stop + 1));
        std::string_view before = rest.substr(0, rest.size() - label.size());
        for (const std::string_view word : {std::string_view("and "), std::string_view("or ")}) {
            if (const std::size_t at = label.rfind(word); at != std::string_view::npos) {
                before = rest.substr(
                    0, static_cast<std::size_t>(label.data() - rest.data()) + at + word.size());
                label = label.substr(at + word.size());
            }
        }
        if (label.size() > 12 || !std::ranges::all_of(label, is_label_character)) {
            return false;
        }
        rest = trim(before);
    }
    bool has_connector = false;
    while (!rest.empty()) {
        if (rest.front() == ',' || rest.front() == ';' || rest.front() == '&') {
            rest.remove_prefix(1);
            has_connector = true;
        } else if (rest.front() == '{' || rest.front() == '}') {
            rest.remove_prefix(1);
        } else if (rest.starts_with("and") || rest.starts_with("or")) {
            rest.remove_prefix(rest.starts_with("and") ? 3 : 2);
            has_connector = true;
            if (!rest.empty() && is_letter(rest.front())) {
                return false;
            }
        } else {
            return false;
        }
        rest = trim(rest);
    }
    return has_connector;
}

}  // namespace

Boxes find_boxes(std::string_view text) {
    Boxes result;
    struct Open {
        std::size_t command = 0;
        std::size_t content = 0;
        bool is_box = false;
    };
    std::vector<Open> open;
    std::size_t position = 0;
    const auto keep = [&](const Box& box) {
        while (!result.closed.empty() && result.closed.back().begin >= box.begin) {
            result.closed.pop_back();  // it lies inside
        }
        result.closed.push_back(box);
    };
    while (position < text.size()) {
        position = std::min(text.find_first_of("\\{}b", position), text.size());
        if (position == text.size()) {
            break;
        }
        const std::size_t length = command_length(text, position);
        if (length > 0) {
            std::size_t after = position + length;
            while (after < text.size() && is_space(text[after]) && after - position < 40) {
                ++after;
            }
            if (after < text.size() && text[after] == '{') {
                open.push_back({position, after + 1, true});
                position = after + 1;
            } else {
                const Box box = unbraced(text, position, position + length);
                const bool is_word =
                    position + length < text.size() && is_letter(text[position + length]);
                if (!box.content.empty() && !is_word) {
                    keep(box);
                }
                position += length;
            }
        } else if (text[position] == '\\' && position + 1 < text.size()) {
            position += 2;
        } else if (text[position] == '{') {
            open.push_back({position, position + 1, false});
            ++position;
        } else if (text[position] == '}') {
            if (!open.empty()) {
                if (open.back().is_box) {
                    keep({open.back().command,
                          position + 1,
                          text.substr(open.back().content, position - open.back().content)});
                }
                open.pop_back();
            }
            ++position;
        } else {
            ++position;
        }
    }
    result.has_open = std::ranges::any_of(open, [](const Open& one) { return one.is_box; });
    return result;
}

std::vector<Box> last_group(std::string_view text, const std::vector<Box>& boxes) {
    std::size_t first = boxes.size() - 1;
    while (first > 0 && boxes.size() - first < 20 &&
           connects(text.substr(boxes[first - 1].end, boxes[first].begin - boxes[first - 1].end))) {
        --first;
    }
    return {boxes.begin() + static_cast<std::ptrdiff_t>(first), boxes.end()};
}

}  // namespace anamnesis::eval::grading
