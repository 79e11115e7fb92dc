// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/grade.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/task.hpp"

#include "grading/boxes.hpp"
#include "grading/characters.hpp"
#include "grading/dollar_signs.hpp"
#include "grading/identity.hpp"
#include "grading/modulus.hpp"
#include "grading/text_answers.hpp"
#include "grading/tokens.hpp"
#include "grading/unit_letters.hpp"
#include "grading/value.hpp"
#include "grading/value_comparer.hpp"

namespace anamnesis::eval {

std::string_view to_string(ReasoningTask task) noexcept {
    return find_word(reasoning_task_words, task);
}

ReasoningTask parse_reasoning_task(std::string_view name) {
    return parse_word(reasoning_task_words, name, "task");
}

namespace grading {
namespace {

constexpr std::size_t longest_answer = 8'000;

Reason reason_of_same(const Value& gold, const Value& answer) {
    if (gold.kind != ValueKind::quantity || answer.kind != ValueKind::quantity) {
        return Reason::equal_structure;
    }
    return gold.expression.variables().empty() ? Reason::equal_number : Reason::equal_expression;
}

/// A formula that is not understood, such as a sum or an integral.
bool has_mathematics(Tokens tokens) {
    return std::ranges::any_of(tokens, [](const Token& token) {
        return token.kind == TokenKind::command || token.is_symbol("^");
    });
}

/// "1,234" read both ways, but the same way on both sides.
bool has_ambiguous_comma(std::string_view text) {
    for (std::size_t i = 1; i + 1 < text.size(); ++i) {
        if (text[i] == ',' && is_digit(text[i - 1]) && is_digit(text[i + 1])) {
            return true;
        }
    }
    return false;
}

/// "(2,100)" and "\{2,100\}": pairs, and not a number in brackets; braces alone are LaTeX's. A
/// space after another comma of it, as in "(1, 2,100)", tells separators from groups.
bool is_tight_tuple(std::string_view text) {
    std::string plain(text);
    for (const std::string_view noise :
         {std::string_view("\\left"), std::string_view("\\right"), std::string_view("$")}) {
        for (std::size_t at = plain.find(noise); at != std::string::npos; at = plain.find(noise)) {
            plain.erase(at, noise.size());
        }
    }
    std::string_view inside = trim(plain);
    while (inside.starts_with('{') && inside.ends_with('}')) {
        inside = trim(inside.substr(1, inside.size() - 2));
    }
    const bool is_set = inside.starts_with("\\{") && inside.ends_with("\\}");
    const bool is_bracketed = (inside.starts_with('(') || inside.starts_with('[')) &&
                              (inside.ends_with(')') || inside.ends_with(']'));
    const std::size_t edge = is_set ? 2 : 1;
    if (!(is_set || is_bracketed) || inside.size() < 2 * edge) {
        return false;
    }
    inside = inside.substr(edge, inside.size() - 2 * edge);
    return has_ambiguous_comma(inside) &&
           inside.find_first_of("()[]{}") == std::string_view::npos &&
           inside.find(", ") == std::string_view::npos;
}

class AnswerPair {
public:
    AnswerPair(std::string_view gold, std::string_view answer, ReasoningTask task)
        : gold_(gold),
          answer_(answer),
          priced_gold_(with_money_escaped_in_answer(gold)),
          priced_answer_(with_money_escaped_in_answer(answer)) {
        rules_.gold_drops_percent = task == ReasoningTask::gsm8k || task == ReasoningTask::amc23;
    }

    Reason run() const {
        if (is_tight_tuple(gold_) || is_tight_tuple(answer_)) {
            return with(Commas::separate);
        }
        const Reason reason = with(Commas::group_digits);
        if (is_correct(reason) || !(has_ambiguous_comma(gold_) || has_ambiguous_comma(answer_))) {
            return reason;
        }
        const Reason other = with(Commas::separate);
        return is_correct(other) ? other : reason;
    }

private:
    Reason with(Commas commas) const {
        const std::vector<Token> gold = tokenise(priced_gold_, commas);
        const std::vector<Token> answer = tokenise(priced_answer_, commas);
        const Reason reason = compare(gold, answer);
        return is_correct(reason) ? reason : find_equal_units(gold, answer).value_or(reason);
    }

    Reason compare(Tokens gold, Tokens answer) const {
        if (is_empty(gold) || is_empty(answer)) {
            return is_empty(gold) ? Reason::no_gold : Reason::no_answer;
        }
        if (canonical(gold) == canonical(answer)) {
            return Reason::equal_text;
        }
        if (const auto choice = find_choice(gold)) {
            if (is_text_choice(gold)) {
                return choice == find_leading_choice(answer) ? Reason::equal_choice
                                                             : Reason::different;
            }
            if (choice == find_marked_choice(answer)) {
                return Reason::equal_choice;
            }
        }
        const std::string modulus = find_modulus(gold);
        const std::string other_modulus = find_modulus(answer);
        if (!modulus.empty() && !other_modulus.empty() && modulus != other_modulus) {
            return Reason::different;
        }
        const auto gold_value = read_value(gold);
        if (!gold_value) {
            return says_the_same(gold, answer) ? Reason::equal_text
                   : has_mathematics(gold)     ? Reason::undecided
                                               : Reason::different;
        }
        const auto answer_value = read_value(without_label(without_choice(answer)));
        if (!answer_value) {
            const bool is_said = is_empty_set(gold) && says_the_same(gold, answer);
            return is_said ? Reason::equal_text : Reason::undecided;
        }
        const auto result = compare_values(*gold_value, *answer_value, rules_);
        switch (result.sameness) {
            case Sameness::same:
                return reason_of_same(*gold_value, *answer_value);
            case Sameness::undecided:
                return Reason::undecided;
            case Sameness::different:
                break;
        }
        return result.has_other_unit ? Reason::other_unit : Reason::different;
    }

    /// Why both are equal once letters are read as the units that they can be. An upright letter
    /// ("5\,\mathrm{m}") is a unit by itself, and the other side may do without, as for every unit.
    /// A plain one ("5 m") may as well be a variable: it is a unit only beside one that measures
    /// the same, so that 5m of algebra never becomes 5.
    std::optional<Reason> find_equal_units(Tokens gold, Tokens answer) const {
        const UnitReading gold_units = read_unit_letters(gold);
        const UnitReading answer_units = read_unit_letters(answer);
        if (!gold_units.has_units() && !answer_units.has_units()) {
            return std::nullopt;
        }
        const auto gold_value = read_value(gold_units.tokens);
        const auto answer_value = read_value(without_label(without_choice(answer_units.tokens)));
        const bool must_have_units = gold_units.has_plain || answer_units.has_plain;
        if (!gold_value || !answer_value ||
            (must_have_units && !(all_have_units(*gold_value) && all_have_units(*answer_value)))) {
            return std::nullopt;
        }
        return compare_values(*gold_value, *answer_value, rules_).sameness == Sameness::same
                   ? std::optional(reason_of_same(*gold_value, *answer_value))
                   : std::nullopt;
    }

    static bool is_empty(Tokens tokens) {
        return std::ranges::all_of(tokens, [](const Token& token) {
            return token.is_symbol("{") || token.is_symbol("}");
        });
    }

    /// (C) and \text{C} are choices; a bare E may be a symbol.
    static bool is_text_choice(Tokens gold) { return gold.size() > 1 || gold.front().is_text; }

    std::string_view gold_;
    std::string_view answer_;
    std::string priced_gold_;
    std::string priced_answer_;
    ComparisonRules rules_;
};

/// Several boxes as one list.
std::string as_list(const std::vector<std::string>& boxes) {
    return join(boxes, " , ");
}

/// "She has 6 · 7 = 42 apples.\n#### 42" is 42, and a worked solution its last box.
std::string_view short_gold(std::string_view gold) {
    constexpr std::string_view marks = "####";
    if (const std::size_t at = find_last(gold, marks); at != std::string_view::npos) {
        return trim(gold.substr(at + marks.size()));
    }
    const std::vector<Box> boxes = find_boxes(gold).closed;
    const bool is_worked = !boxes.empty() && gold.find(' ') < boxes.back().begin;
    return is_worked ? trim(boxes.back().content) : gold;
}

/// The sentence decides where the gold answer is in words.
bool sentence_says(std::string_view gold, const Extraction& extraction) {
    if (extraction.sentence.empty()) {
        return false;
    }
    const std::vector<Token> wanted = tokenise(gold);
    const std::vector<Token> found = tokenise(extraction.sentence);
    if (wanted.empty()) {
        return false;
    }
    if (const auto choice = find_choice(wanted); choice && choice == find_marked_choice(found)) {
        return true;
    }
    if (read_value(wanted) && !is_empty_set(wanted)) {
        return false;
    }
    if (const auto choice = find_choice(wanted)) {
        return choice == find_leading_choice(found);
    }
    return says_the_same(wanted, found);
}

}  // namespace

std::string_view to_string(Reason reason) noexcept {
    constexpr auto names = std::to_array<std::string_view>({"equal_text",
                                                            "equal_choice",
                                                            "equal_number",
                                                            "equal_expression",
                                                            "equal_structure",
                                                            "different",
                                                            "other_unit",
                                                            "undecided",
                                                            "no_answer",
                                                            "unfinished",
                                                            "no_gold"});
    return names[static_cast<std::size_t>(reason)];
}

bool is_correct(Reason reason) noexcept {
    return reason <= Reason::equal_structure;
}

Reason compare_answers(std::string_view gold, std::string_view answer, ReasoningTask task) {
    if (trim(gold).empty()) {
        return Reason::no_gold;
    }
    if (trim(answer).empty()) {
        return Reason::no_answer;
    }
    if (gold.size() > longest_answer || answer.size() > longest_answer) {
        return trim(gold) == trim(answer) ? Reason::equal_text : Reason::undecided;
    }
    return AnswerPair(gold, answer, task).run();
}

Grade grade_extraction(ReasoningTask task, std::string_view gold, const Extraction& extraction) {
    gold = short_gold(gold);
    Grade grade{.extracted = extraction.text};
    if (trim(gold).empty()) {
        grade.reason = Reason::no_gold;
    } else if (extraction.source == AnswerSource::unfinished) {
        grade.reason = Reason::unfinished;
    } else if (extraction.source == AnswerSource::none) {
        grade.reason = Reason::no_answer;
    } else if (extraction.boxes.size() > 1) {
        grade.extracted = as_list(extraction.boxes);
        grade.reason = compare_answers(gold, grade.extracted, task);
    } else {
        grade.reason = compare_answers(gold, extraction.text, task);
        if (!is_correct(grade.reason) && sentence_says(gold, extraction)) {
            grade.reason = Reason::equal_text;
        }
    }
    // A last sentence that was not understood is no answer.
    if (extraction.source == AnswerSource::statement && grade.reason == Reason::undecided) {
        grade.reason = Reason::no_answer;
    }
    grade.is_correct = is_correct(grade.reason);
    return grade;
}

Grade grade_response(ReasoningTask task,
                     std::string_view gold,
                     std::string_view response,
                     ResponseEnd end) {
    return grade_extraction(task, gold, extract_answer(response, task, end));
}

std::vector<std::optional<std::size_t>> classes_of_answers(std::span<const Extraction> answers,
                                                           ReasoningTask task) {
    std::vector<std::optional<std::size_t>> classes;
    std::vector<std::size_t> first_of_class;
    const auto answer_text = [&](std::size_t i) {
        return answers[i].boxes.size() > 1 ? as_list(answers[i].boxes) : answers[i].text;
    };
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (answers[i].source == AnswerSource::none ||
            answers[i].source == AnswerSource::unfinished) {
            classes.emplace_back();
            continue;
        }
        const auto found = std::ranges::find_if(first_of_class, [&](std::size_t first) {
            return is_correct(compare_answers(answer_text(first), answer_text(i), task));
        });
        classes.emplace_back(found == first_of_class.end() ? i : *found);
        if (found == first_of_class.end()) {
            first_of_class.push_back(i);
        }
    }
    return classes;
}

}  // namespace grading
}  // namespace anamnesis::eval
