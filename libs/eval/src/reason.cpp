// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/reason.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {
namespace {

constexpr std::string_view slot = "{question}";
constexpr std::size_t question_bytes = 400;

std::string take_beginning(const std::string& text) {
    std::size_t end = std::min(text.size(), question_bytes);
    while (end > 0 && end < text.size() &&
           (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
        --end;
    }
    return text.substr(0, end);
}

Json to_line(const Problem& problem,
             std::size_t sample,
             std::uint64_t seed,
             const std::string& prompt_digest,
             const Answer& answer) {
    const bool is_cut = answer.finish == language::FinishReason::length;
    const grading::Grade grade = grading::grade_response(
        problem.task, problem.gold, answer.text, grading::response_end(is_cut));
    return Json::Object{{"task", to_string(problem.task)},
                        {"problem", problem.id},
                        {"sample", std::uint64_t{sample}},
                        {"seed", seed},
                        {"correct", grade.is_correct},
                        {"reason", grading::to_string(grade.reason)},
                        {"extracted", grade.extracted},
                        {"gold", problem.gold},
                        {"truncated", is_cut},
                        {"finish", language::to_string(answer.finish)},
                        {"prompt_tokens", std::uint64_t{answer.prompt_tokens}},
                        {"new_tokens", std::uint64_t{answer.new_tokens}},
                        {"seconds", answer.seconds},
                        {"response", answer.text},
                        {"question", take_beginning(problem.question)},
                        {"prompt_sha256", prompt_digest}};
}

grading::Reason parse_reason(std::string_view name) {
    using enum grading::Reason;
    for (const grading::Reason reason : {equal_text,
                                         equal_choice,
                                         equal_number,
                                         equal_expression,
                                         equal_structure,
                                         different,
                                         other_unit,
                                         undecided,
                                         no_answer,
                                         unfinished,
                                         no_gold}) {
        if (grading::to_string(reason) == name) {
            return reason;
        }
    }
    throw Error(ErrorKind::malformed, format("unknown reason {}", in_quotes(name)));
}

}  // namespace

ReasonPrompt ReasonPrompt::zero_shot() {
    return {.pattern =
                "{question}\nPlease reason step by step, and put your final answer within "
                "\\boxed{}."};
}

ReasonPrompt ReasonPrompt::few_shot(const std::vector<Problem>& train,
                                    std::size_t shots,
                                    std::uint64_t seed) {
    std::vector<const Problem*> usable;
    for (const Problem& problem : train) {
        if (!problem.solution.empty()) {
            usable.push_back(&problem);
        }
    }
    if (usable.size() < shots) {
        throw Error(ErrorKind::usage,
                    format("{} examples are asked for, {} problems have a worked solution",
                           shots,
                           usable.size()));
    }
    Random random(seed);
    ReasonPrompt prompt{.pattern = "", .stop = {"Question:"}};
    for (std::size_t i = 0; i < shots; ++i) {
        std::swap(usable[i], usable[i + random.below(usable.size() - i)]);
        const Problem& example = *usable[i];
        prompt.pattern += format("Question: {}\nAnswer: {}", example.question, example.solution);
        // The data set's own ending, which its readers take off.
        prompt.pattern += example.task == ReasoningTask::gsm8k
                              ? format("\n#### {}\n\n", example.gold)
                              : std::string("\n\n");
    }
    // An example may speak of a {question} of its own: the slot that counts is the last.
    prompt.pattern += "Question: {question}\nAnswer:";
    return prompt;
}

ReasonPrompt ReasonPrompt::own(std::string pattern) {
    if (pattern.find(slot) == std::string::npos) {
        throw Error(ErrorKind::malformed,
                    format("the prompt template {} has no {}", in_quotes(pattern), slot));
    }
    return {.pattern = std::move(pattern)};
}

std::string ReasonPrompt::render(const Problem& problem) const {
    std::string text = pattern;
    text.replace(text.rfind(slot), slot.size(), problem.question);
    return text;
}

std::uint64_t sample_seed(std::uint64_t run_seed, std::string_view problem, std::size_t sample) {
    const std::string digest = compute_sha256(format("{} {} {}", run_seed, sample, problem));
    constexpr std::size_t digits = 15;  // below 2^60: JSON readers keep it whole, servers mask it
    return std::stoull(digest.substr(0, digits), nullptr, 16);
}

NextItem reason_items(std::vector<Problem> problems,
                      const ReasonAsking& asking,
                      const OnProblem& on_problem) {
    if (asking.samples > 1 && asking.sampling.temperature == 0.0) {
        throw Error(ErrorKind::usage,
                    format("--k {} at temperature 0 gives {} equal answers; give --temperature",
                           asking.samples,
                           asking.samples));
    }
    struct State {
        std::vector<Problem> problems;
        std::size_t place = 0;
    };
    auto state = std::make_shared<State>(State{.problems = std::move(problems)});
    return [state, asking, on_problem]() -> std::optional<Item> {
        if (state->place == state->problems.size() * asking.samples) {
            return std::nullopt;
        }
        const Problem& problem = state->problems[state->place / asking.samples];
        const std::size_t sample = state->place % asking.samples;
        ++state->place;
        Item item;
        item.question.id = format("{}#{}", problem.id, sample);
        item.question.input = asking.prompt.render(problem);
        item.question.max_new_tokens = asking.max_new_tokens;
        item.question.sampling = asking.sampling;
        item.question.sampling.seed = sample_seed(asking.seed, problem.id, sample);
        item.question.stop = asking.prompt.stop;
        if (on_problem) {
            on_problem(problem, item.question);
        }
        item.judge = [state,
                      &problem,
                      sample,
                      seed = item.question.sampling.seed,
                      digest = compute_sha256(item.question.input)](const Answer& answer) {
            return to_line(problem, sample, seed, digest, answer);
        };
        return item;
    };
}

ReasonResult read_reason_result(const Json& line) {
    return {.checkpoint = line.at("checkpoint").as_string("'checkpoint'"),
            .problem = line.at("problem").as_string("'problem'"),
            .task = parse_reasoning_task(line.at("task").as_string("'task'")),
            .sample = line.at("sample").as_unsigned("'sample'"),
            .is_correct = line.at("correct").as_boolean("'correct'"),
            .reason = parse_reason(line.at("reason").as_string("'reason'")),
            .is_truncated = line.at("truncated").as_boolean("'truncated'"),
            .new_tokens = line.at("new_tokens").as_unsigned("'new_tokens'"),
            .gold = line.at("gold").as_string("'gold'"),
            .extracted = line.at("extracted").as_string("'extracted'"),
            .response = line.at("response").as_string("'response'"),
            .question = line.at("question").as_string("'question'")};
}

}  // namespace anamnesis::eval
