// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/extraction.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/eval/grading/task.hpp"

#include "grading/boxes.hpp"
#include "grading/characters.hpp"
#include "grading/statements.hpp"
#include "grading/unicode_math.hpp"

namespace anamnesis::eval::grading {
namespace {

struct Tags {
    std::string_view open;
    std::string_view close;
};

constexpr auto reasoning_tags = std::to_array<Tags>(
    {{"<think>", "</think>"}, {"<thinking>", "</thinking>"}, {"[THINK]", "[/THINK]"}});

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

}  // namespace

AnswerPart after_reasoning(std::string_view response) {
    AnswerPart part{.text = response};
    for (const Tags& tags : reasoning_tags) {
        const std::size_t close = find_last(part.text, tags.close);
        if (close != std::string_view::npos) {
            part.text.remove_prefix(close + tags.close.size());
        }
        part.is_open |= part.text.find(tags.open) != std::string_view::npos;
    }
    return part;
}

Extraction extract_answer(std::string_view response, ReasoningTask task) {
    const AnswerPart part = after_reasoning(response);
    if (part.is_open) {
        return {.source = AnswerSource::unfinished};
    }
    const std::string whole = with_line_breaks(unicode_to_latex(part.text));
    const std::string_view text = without_next_question(whole);
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
        return {.source = AnswerSource::unfinished};
    }
    if (marks) {
        return from_statement(AnswerSource::marks, *marks, true);
    }
    if (const auto line = find_answer_line(text)) {
        return from_statement(AnswerSource::answer_line, *line, true);
    }
    if (const auto last = find_last_sentence(text)) {
        const bool is_numeric = is_school || task == ReasoningTask::aime24;
        return from_statement(AnswerSource::statement, *last, is_numeric);
    }
    return {};
}

}  // namespace anamnesis::eval::grading
