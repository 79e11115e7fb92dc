// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/problems.hpp"

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/io/line_reader.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view marks = "####";

const Json* find_any(const Json& line, std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
        if (const Json* value = line.find(name)) {
            return value;
        }
    }
    return nullptr;
}

/// A number as Python prints it: 27.0, 0.5.
std::string number_text(const Json& value) {
    const double number = value.as_double("answer");
    const bool is_whole = std::trunc(number) == number && std::abs(number) < 1e15;
    const bool is_integer = is_whole && value.dump().find_first_of(".eE") == std::string::npos;
    return is_integer ? format("{:.0f}", number)
           : is_whole ? format("{:.1f}", number)
                      : format("{}", number);
}

std::string required_text(const Json& line,
                          std::initializer_list<std::string_view> names,
                          const io::JsonLineReader& reader) {
    const Json* value = find_any(line, names);
    if (value == nullptr || !(value->is_string() || value->is_number())) {
        throw Error(ErrorKind::malformed,
                    format("{} has no field '{}'", reader.place(), *names.begin()));
    }
    return value->is_string() ? value->as_string(*names.begin()) : number_text(*value);
}

ReasoningTask recognise(const Json& line) {
    const Json* answer = line.find("answer");
    if (line.find("unique_id") != nullptr) {
        return ReasoningTask::math500;
    }
    if (line.find("question") != nullptr && line.find("problem") == nullptr && answer != nullptr &&
        answer->is_string() && answer->as_string("answer").find(marks) != std::string::npos) {
        return ReasoningTask::gsm8k;
    }
    if (line.find("problem") != nullptr && line.find("id") != nullptr && answer != nullptr) {
        if (answer->is_number()) {
            return ReasoningTask::amc23;
        }
        if (line.find("solution") != nullptr) {
            return ReasoningTask::aime24;
        }
    }
    return ReasoningTask::custom;
}

std::string without_calculator_marks(std::string_view text) {
    std::string result;
    std::size_t begin = 0;
    for (std::size_t open = text.find("<<"); open != std::string_view::npos;
         open = text.find("<<", begin)) {
        const std::size_t close = text.find(">>", open);
        if (close == std::string_view::npos) {
            break;
        }
        result += text.substr(begin, open - begin);
        begin = close + 2;
    }
    return result.append(text.substr(begin));
}

std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first == std::string_view::npos
               ? std::string_view()
               : text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

/// GSM8K's answer is worked and ends with the short one.
void split_worked_answer(Problem& problem, const io::JsonLineReader& reader) {
    const std::string worked = problem.gold;
    const std::size_t at = worked.rfind(marks);
    if (at == std::string::npos) {
        throw Error(ErrorKind::malformed,
                    format("the answer in {} has no '#### ' before its number", reader.place()));
    }
    problem.gold = trimmed(std::string_view(worked).substr(at + marks.size()));
    problem.solution = trimmed(without_calculator_marks(std::string_view(worked).substr(0, at)));
}

Problem read_problem(const Json& line,
                     ReasoningTask task,
                     std::size_t index,
                     const io::JsonLineReader& reader) {
    Problem problem;
    problem.task = task;
    problem.id = format("{}/{}", to_string(task), index);
    if (const Json* id = find_any(line, {"unique_id", "id"})) {
        const auto text = read_identifier(*id);
        if (!text) {
            throw Error(ErrorKind::malformed,
                        format("the id in {} is neither text nor an integer", reader.place()));
        }
        problem.id = *text;
    }
    problem.question = task == ReasoningTask::gsm8k
                           ? required_text(line, {"question"}, reader)
                           : required_text(line, {"problem", "question"}, reader);
    problem.gold = required_text(line, {"answer", "gold"}, reader);
    if (const Json* solution = line.find("solution");
        solution != nullptr && solution->is_string()) {
        problem.solution = solution->as_string("solution");
    }
    if (task == ReasoningTask::gsm8k) {
        split_worked_answer(problem, reader);
    }
    if (trimmed(problem.gold).empty()) {
        throw Error(ErrorKind::malformed, format("the answer in {} is empty", reader.place()));
    }
    return problem;
}

}  // namespace

std::optional<std::string> read_identifier(const Json& value) {
    if (value.is_string()) {
        return value.as_string("id");
    }
    const std::string text = value.is_number() ? value.dump() : std::string();
    return text.empty() || text.find_first_of(".eE") != std::string::npos ? std::nullopt
                                                                          : std::optional(text);
}

std::vector<Problem> read_problems(const std::filesystem::path& path,
                                   std::optional<ReasoningTask> task) {
    io::JsonLineReader reader(path);
    std::vector<Problem> problems;
    std::unordered_map<std::string, std::size_t> line_of_id;
    Json line;
    while (reader.next(line)) {
        task = task.value_or(recognise(line));
        Problem problem = read_problem(line, *task, problems.size(), reader);
        const auto [known, is_new] = line_of_id.emplace(problem.id, reader.number());
        if (!is_new) {
            throw Error(ErrorKind::malformed,
                        format("{} has the id {} of line {}",
                               reader.place(),
                               in_quotes(problem.id),
                               known->second));
        }
        problems.push_back(std::move(problem));
    }
    if (problems.empty()) {
        throw Error(ErrorKind::malformed, format("{} holds no problem", in_quotes(path.string())));
    }
    return problems;
}

}  // namespace anamnesis::eval
