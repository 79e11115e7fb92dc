// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/problems.hpp"

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

#include "problem_fields.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view marks = "####";

std::string required_text(const Json& fields,
                          std::initializer_list<std::string_view> names,
                          const io::JsonLineReader& reader) {
    const Json* value = find_any(fields, names);
    if (value == nullptr || !value->is_string()) {
        throw Error(ErrorKind::malformed,
                    format("{} has no field '{}'", reader.place(), *names.begin()));
    }
    return value->as_string(*names.begin());
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
    const Json& fields = problem_fields(line);
    Problem problem;
    problem.task = task;
    problem.id = find_identifier(line, reader).value_or(format("{}/{}", to_string(task), index));
    problem.question =
        task == ReasoningTask::gsm8k
            ? required_text(fields, {"question"}, reader)
            : required_text(fields, {"problem", "Problem", "question", "Question"}, reader);
    auto gold = find_gold(line);
    if (!gold) {
        throw Error(ErrorKind::malformed, format("{} has no field 'answer'", reader.place()));
    }
    problem.gold = std::move(*gold);
    if (const Json* solution = find_any(fields, {"solution", "Solution"});
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
    std::optional<std::string> filter;
    while (reader.next(line)) {
        if (is_lm_eval_sample(line) && !is_first_filter(line, filter)) {
            continue;
        }
        task = task.value_or(recognise_task(problem_fields(line)));
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
