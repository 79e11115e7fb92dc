// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/eval/preflight.hpp"
#include "anamnesis/eval/problems.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "evaluation/asked_models.hpp"
#include "evaluation/asking_run.hpp"
#include "evaluation/evaluation.hpp"
#include "evaluation/report_files.hpp"
#include "options.hpp"
#include "terminal.hpp"

namespace anamnesis::app {
namespace {

/// The defaults that depend on others.
ReasonOptions completed(ReasonOptions options) {
    constexpr std::uint32_t default_tokens = 8192;
    if (options.shots > 0 && (options.train.empty() || !options.prompt_template.empty())) {
        throw Error(ErrorKind::usage,
                    "--shots takes its examples from --train, and no --prompt-template");
    }
    if (options.asking.max_tokens == 0) {
        options.asking.max_tokens = default_tokens;
    }
    if (!options.temperature) {
        options.temperature = options.k > 1 ? 0.6 : 0.0;
    }
    if (!options.top_p) {
        options.top_p = *options.temperature > 0.0 ? 0.95 : 1.0;
    }
    // Examples make a completion; without them the model's chat template does.
    options.asking.chat = options.asking.chat || (options.shots == 0 && !options.plain);
    return options;
}

eval::ReasonPrompt prompt_of(const ReasonOptions& options, eval::ReasoningTask task) {
    if (!options.prompt_template.empty()) {
        return eval::ReasonPrompt::own(io::read_text(options.prompt_template));
    }
    if (options.shots > 0) {
        return eval::ReasonPrompt::few_shot(
            eval::read_problems(options.train, task), options.shots, options.seed);
    }
    return eval::ReasonPrompt::zero_shot();
}

class ReasonEvaluation final : public Evaluation {
public:
    explicit ReasonEvaluation(const ReasonOptions& options)
        : options_(options),
          task_(eval::reasoning_task_of(options.task)),
          problems_(eval::read_problems(options.data, task_)) {
        if (options.limit > 0 && options.limit < problems_.size()) {
            problems_.resize(options.limit);
        }
        asking_ = {.samples = options.k,
                   .sampling = {.temperature = *options.temperature,
                                .top_k = options.top_k,
                                .top_p = *options.top_p},
                   .seed = options.seed,
                   .max_new_tokens = options.asking.max_tokens,
                   .prompt = prompt_of(options, task_)};
    }

    Json settings() const override {
        return Json::Object{{"kind", "reason"},
                            {"task", options_.task},
                            {"data_sha256", sha256_of(io::read_text(options_.data, 1ULL << 30U))},
                            {"problems", std::uint64_t{problems_.size()}},
                            {"k", std::uint64_t{options_.k}},
                            {"temperature", *options_.temperature},
                            {"top_p", *options_.top_p},
                            {"top_k", std::uint64_t{options_.top_k}},
                            {"seed", options_.seed},
                            {"max_tokens", std::uint64_t{options_.asking.max_tokens}},
                            {"chat", options_.asking.chat},
                            {"shots", std::uint64_t{options_.shots}},
                            {"prompt_sha256", sha256_of(asking_.prompt.pattern)}};
    }

    std::size_t total() const override { return problems_.size() * options_.k; }

    eval::NextItem start(const eval::PreflightFacts& facts) override {
        // The longest question stands for all.
        const auto longest = std::ranges::max_element(
            problems_, {}, [](const eval::Problem& problem) { return problem.question.size(); });
        eval::check_room(format("problem {}", longest->id), question_of(*longest), facts);
        return eval::reason_items(problems_, asking_);
    }

    Place place_of(const Json& line) const override {
        return {.row = line.at("task").as_string("'task'"),
                .column = format("avg@{}", options_.k),
                .score = line.at("correct").as_boolean("'correct'") ? 1.0 : 0.0};
    }

    std::vector<eval::Question> short_questions() override {
        constexpr std::size_t most = 4;
        constexpr std::size_t tokens = 64;
        std::vector<eval::Question> questions;
        for (std::size_t i = 0; i < std::min(most, problems_.size()); ++i) {
            questions.push_back(question_of(problems_[i]));
            questions.back().max_new_tokens = std::min(tokens, asking_.max_new_tokens);
        }
        return questions;
    }
    std::vector<eval::Question> long_questions() override { return {}; }

    void finish(Terminal& terminal) override {
        write_reports({options_.asking.out}, "", "", options_.common, terminal);
    }

private:
    eval::Question question_of(const eval::Problem& problem) const {
        return {.id = problem.id,
                .input = asking_.prompt.text_of(problem),
                .max_new_tokens = asking_.max_new_tokens,
                .stop = asking_.prompt.stop};
    }

    const ReasonOptions& options_;
    eval::ReasoningTask task_;
    std::vector<eval::Problem> problems_;
    eval::ReasonAsking asking_;
};

}  // namespace

int run(const ReasonOptions& options,
        Terminal& terminal,
        const OpenModel& open,
        const Watch& watch) {
    const ReasonOptions complete = completed(options);
    const auto tokenizer =
        language::Tokenizer::open(tokenizer_folder(complete.asking, asked_models(complete.asking)));
    ReasonEvaluation evaluation(complete);
    run_evaluation(evaluation, complete.asking, complete.common, tokenizer, terminal, open, watch);
    return 0;
}

}  // namespace anamnesis::app
