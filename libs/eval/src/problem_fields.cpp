// SPDX-License-Identifier: Apache-2.0
#include "problem_fields.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/io/line_reader.hpp"

namespace anamnesis::eval {
namespace {

/// A number as Python prints it: 27.0, 0.5.
std::string number_text(const Json& value) {
    const double number = value.as_double("answer");
    const bool is_whole = std::trunc(number) == number && std::abs(number) < 1e15;
    const bool is_integer = is_whole && value.dump().find_first_of(".eE") == std::string::npos;
    return is_integer ? format("{:.0f}", number)
           : is_whole ? format("{:.1f}", number)
                      : format("{}", number);
}

/// 0 to 999, as AIME's answers are.
bool is_aime_answer(const Json& answer) {
    const std::string text = answer.is_string() ? answer.as_string("answer") : answer.dump();
    return !text.empty() && text.size() <= 3 &&
           std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

void append_texts(std::vector<std::string>& texts, const Json& value, int depth) {
    if (value.is_string()) {
        texts.push_back(value.as_string("response"));
    } else if (value.is_null()) {
        texts.emplace_back();
    } else if (value.is_array() && depth < 2) {
        for (const Json& item : value.as_array("responses")) {
            append_texts(texts, item, depth + 1);
        }
    } else {
        throw Error(ErrorKind::malformed, "the responses are no texts");
    }
}

}  // namespace

bool is_lm_eval_sample(const Json& line) {
    const Json* doc = line.find("doc");
    return doc != nullptr && doc->is_object() && line.find("doc_id") != nullptr;
}

const Json& problem_fields(const Json& line) {
    return is_lm_eval_sample(line) ? line.at("doc") : line;
}

const Json* find_any(const Json& line, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        if (const Json* value = line.find(name); value != nullptr && !value->is_null()) {
            return value;
        }
    }
    return nullptr;
}

ReasoningTask recognise_task(const Json& fields) {
    const Json* answer = find_any(fields, {"answer", "Answer"});
    if (fields.find("unique_id") != nullptr) {
        return ReasoningTask::math500;
    }
    if (fields.find("question") != nullptr && fields.find("problem") == nullptr &&
        answer != nullptr && answer->is_string() &&
        answer->as_string("answer").find("####") != std::string::npos) {
        return ReasoningTask::gsm8k;
    }
    if (answer == nullptr ||
        find_any(fields, {"problem", "Problem", "question", "Question"}) == nullptr) {
        return ReasoningTask::custom;
    }
    const Json* url = find_any(fields, {"url", "ID"});
    const bool names_aime = url != nullptr && is_aime_answer(*answer);
    if (fields.find("problem") != nullptr && fields.find("id") != nullptr && !names_aime) {
        if (answer->is_number()) {
            return ReasoningTask::amc23;
        }
        if (fields.find("solution") != nullptr) {
            return ReasoningTask::aime24;
        }
    }
    return names_aime ? ReasoningTask::aime24 : ReasoningTask::custom;
}

std::optional<std::string> find_identifier(const Json& line, const io::JsonLineReader& reader) {
    const Json* id = is_lm_eval_sample(line) ? line.find("doc_id")
                                             : find_any(line, {"unique_id", "id", "ID", "url"});
    if (id == nullptr) {
        return std::nullopt;
    }
    auto text = read_identifier(*id);
    if (!text) {
        throw Error(ErrorKind::malformed,
                    format("the id in {} is neither text nor an integer", reader.place()));
    }
    return text;
}

std::optional<std::string> find_gold(const Json& line) {
    const Json* value = find_any(problem_fields(line), {"answer", "Answer", "gold"});
    // What is no text may be the number of a choice, whose letter is the target.
    if (is_lm_eval_sample(line) && (value == nullptr || !value->is_string())) {
        const Json* target = find_any(line, {"target"});
        value = target != nullptr && (target->is_string() || target->is_number()) ? target : value;
    }
    if (value == nullptr || !(value->is_string() || value->is_number())) {
        return std::nullopt;
    }
    return value->is_string() ? value->as_string("answer") : number_text(*value);
}

std::vector<std::string> read_lm_eval_responses(const Json& line,
                                                const io::JsonLineReader& reader) {
    const Json* responses = find_any(line, {"resps", "filtered_resps"});
    if (responses == nullptr) {
        throw Error(
            ErrorKind::malformed,
            format("{} has no field 'resps' and no field 'filtered_resps'", reader.place()));
    }
    std::vector<std::string> texts;
    try {
        append_texts(texts, *responses, 0);
    } catch (const Error&) {
        throw Error(ErrorKind::malformed,
                    format("the responses in {} are no texts: log likelihoods of a multiple choice "
                           "cannot be graded",
                           reader.place()));
    }
    return texts;
}

bool is_first_filter(const Json& line, std::optional<std::string>& first) {
    const Json* filter = line.find("filter");
    const std::string name =
        filter != nullptr && filter->is_string() ? filter->as_string("filter") : std::string();
    first = first.value_or(name);
    return *first == name;
}

}  // namespace anamnesis::eval
