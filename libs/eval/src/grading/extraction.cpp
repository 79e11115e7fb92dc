// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/extraction.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/eval/grading/task.hpp"

#include "grading/answer_part.hpp"
#include "grading/boxes.hpp"
#include "grading/characters.hpp"
#include "grading/statements.hpp"
#include "grading/text_answers.hpp"
#include "grading/tokens.hpp"
#include "grading/unicode_math.hpp"

namespace anamnesis::eval::grading {
namespace {

/// Responses have their line breaks as "\n" where they were escaped twice.
std::string with_line_breaks(std::string text) {
    for (std::size_t at = text.find("\\n"); at != std::string::npos;
         at = text.find("\\n", at + 1)) {
        const bool is_command = at + 2 < text.size() && is_letter(text[at + 2]);
        if (!is_command && (at == 0 || text[at - 1] != '\\')) {
            text.replace(at, 2, " \n");
        }
    }
    return text;
}

bool gives_answer(std::string_view text) {
    return text.find("####") != std::string_view::npos || !find_boxes(text).closed.empty() ||
           find_answer_line(text).has_value();
}

/// Ends before a line that asks the next question, where an answer comes before it.
std::string_view without_next_question(std::string_view text) {
    std::size_t first = std::string_view::npos;
    for (const std::string_view question : {std::string_view("\nQuestion:"),
                                            std::string_view("\nQ:"),
                                            std::string_view("\nProblem:")}) {
        first = std::min(first, text.find(question));
    }
    if (first != std::string_view::npos && gives_answer(text.substr(0, first))) {
        return text.substr(0, first);
    }
    return text;
}

Extraction from_boxes(std::string_view text, const std::vector<Box>& boxes) {
    Extraction result{.source = AnswerSource::box};
    for (const Box& box : last_group(text, boxes)) {
        result.boxes.emplace_back(trim(box.content));
    }
    result.text = result.boxes.back();
    if (result.text.empty()) {
        result.source = AnswerSource::none;
    }
    return result;
}

Extraction from_statement(AnswerSource source,
                          const Statement& statement,
                          bool may_search_numbers) {
    return {.source = source,
            .text = value_of_sentence(
                statement.sentence, source != AnswerSource::statement, may_search_numbers),
            .sentence = statement.sentence,
            .boxes = {}};
}

bool has_value(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return is_digit(c) || c == '$' || c == '\\'; });
}

/// The answer in a text that is to be compared as it is, such as the content of a tag.
Extraction from_given(std::string_view given, ReasoningTask task) {
    const auto value = find_json_answer(given);
    given = value ? std::string_view(*value) : given;
    const Boxes boxes = find_boxes(given);
    if (!boxes.closed.empty()) {
        return from_boxes(given, boxes.closed);
    }
    if (const auto marks = find_marks(given)) {
        return from_statement(AnswerSource::marks, *marks, true);
    }
    if (const auto line = find_answer_line(given)) {
        return from_statement(AnswerSource::answer_line, *line, true);
    }
    const bool is_line = given.find('\n') == std::string_view::npos;
    const bool is_numeric = task == ReasoningTask::gsm8k || task == ReasoningTask::aime24;
    if (const auto last = find_last_sentence(given); last && !is_line) {
        return from_statement(AnswerSource::answer_line, *last, is_numeric);
    }
    return from_statement(AnswerSource::answer_line, whole_statement(given), is_numeric);
}

/// Boxes, marks and what "the answer is"; nothing where the text has none of them.
std::optional<Extraction> from_marked(std::string_view text, ReasoningTask task) {
    const Boxes boxes = find_boxes(text);
    const bool is_school = task == ReasoningTask::gsm8k;
    const auto marks = find_marks(text);
    const std::size_t last_box = boxes.closed.empty() ? 0 : boxes.closed.back().end;
    if (!boxes.closed.empty() && !(is_school && marks && marks->begin > last_box)) {
        // "\boxed{14} … So the final answer is 15": what comes last counts.
        const std::string_view rest = text.substr(last_box);
        const auto line = find_answer_line(rest);
        return line && has_value(line->sentence)
                   ? from_statement(AnswerSource::answer_line, *line, true)
                   : from_boxes(text, boxes.closed);
    }
    if (boxes.has_open) {
        return Extraction{.source = AnswerSource::unfinished};
    }
    if (marks) {
        return from_statement(AnswerSource::marks, *marks, true);
    }
    if (const auto line = find_answer_line(text)) {
        return from_statement(AnswerSource::answer_line, *line, true);
    }
    return std::nullopt;
}

/// The letter of a choice that the text begins with, where what follows only explains it: it is
/// headed so, or its last sentence has neither a value nor another letter.
std::optional<std::string> find_first_choice(std::string_view text, std::string_view last) {
    constexpr auto headings = std::to_array<std::string_view>(
        {"explanation", "reason", "rationale", "justification", "because", "since"});
    const std::string_view whole = trim(text);
    const std::size_t end = std::min(whole.find('\n'), whole.size());
    const std::vector<Token> line = tokenise(whole.substr(0, end));
    const auto alone = find_choice(line);
    const auto choice = alone ? alone : find_marked_choice(line);
    if (!choice || whole == last) {
        return std::nullopt;
    }
    const std::size_t next = std::min(whole.find_first_not_of(" \t\n*_#>", end), whole.size());
    const std::string rest = lower(whole.substr(next, 16));
    const bool is_headed = std::ranges::any_of(
        headings, [&](std::string_view heading) { return rest.starts_with(heading); });
    constexpr auto conclusions = std::to_array<std::string_view>(
        {"so ", "so,", "thus", "therefore", "hence", "in conclusion"});
    const std::string ending = lower(last.substr(0, 16));
    const bool concludes = std::ranges::any_of(
        conclusions, [&](std::string_view word) { return ending.starts_with(word); });
    return is_headed || !(concludes || has_value(last) || names_choices(tokenise(last)))
               ? std::optional(std::string(1, *choice))
               : std::nullopt;
}

}  // namespace

Extraction extract_answer(std::string_view response, ReasoningTask task, ResponseEnd end) {
    const AnswerPart part = after_reasoning(response);
    const bool is_cut = end == ResponseEnd::cut;
    if (part.is_open) {
        return {.source = AnswerSource::unfinished};
    }
    const std::string whole = with_line_breaks(unicode_to_latex(without_end_of_text(part.text)));
    const std::string_view text = without_next_question(whole);
    if (const auto tagged = find_tagged_answer(text)) {
        return tagged->is_open && is_cut ? Extraction{.source = AnswerSource::unfinished}
                                         : from_given(tagged->text, task);
    }
    if (find_json_answer(text)) {
        return from_given(text, task);
    }
    if (auto marked = from_marked(text, task)) {
        return std::move(*marked);
    }
    // A last sentence is an answer where the response ends of itself.
    if (is_cut) {
        return {.source = AnswerSource::unfinished};
    }
    if (const auto last = find_last_sentence(text)) {
        const bool is_numeric = task == ReasoningTask::gsm8k || task == ReasoningTask::aime24;
        Extraction said = from_statement(AnswerSource::statement, *last, is_numeric);
        if (auto choice = find_first_choice(text, last->sentence); choice && !is_numeric) {
            said.text = std::move(*choice);
        }
        return said;
    }
    return {};
}

}  // namespace anamnesis::eval::grading
