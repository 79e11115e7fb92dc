// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/reason_job.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/eval/scoreboard.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/sampler.hpp"

#include "evaluation.hpp"

namespace anamnesis::eval {
namespace {

ReasonPrompt make_prompt(const ReasonJob& job) {
    if (!job.prompt_template.empty()) {
        return ReasonPrompt::own(io::read_text(job.prompt_template));
    }
    if (job.shots > 0) {
        return ReasonPrompt::few_shot(read_problems(job.train, job.task), job.shots, job.seed);
    }
    return ReasonPrompt::zero_shot();
}

class ReasonEvaluation final : public Evaluation {
public:
    explicit ReasonEvaluation(const ReasonJob& job)
        : job_(job), problems_(read_problems(job.data, job.task)) {
        if (job.limit > 0 && job.limit < problems_.size()) {
            problems_.resize(job.limit);
        }
        asking_ = {.samples = job.k,
                   .sampling = job.sampling,
                   .seed = job.seed,
                   .max_new_tokens = job.max_new_tokens,
                   .prompt = make_prompt(job)};
    }

    Json settings() const override {
        return Json::Object{{"kind", "reason"},
                            {"task", to_string(job_.task)},
                            {"data_sha256", compute_sha256(io::read_text(job_.data, 1ULL << 30U))},
                            {"problems", std::uint64_t{problems_.size()}},
                            {"k", std::uint64_t{job_.k}},
                            {"temperature", job_.sampling.temperature},
                            {"top_p", job_.sampling.top_p},
                            {"top_k", std::uint64_t{job_.sampling.top_k}},
                            {"seed", job_.seed},
                            {"max_tokens", std::uint64_t{job_.max_new_tokens}},
                            {"chat", job_.chat},
                            {"shots", std::uint64_t{job_.shots}},
                            {"prompt_sha256", compute_sha256(asking_.prompt.pattern)}};
    }

    std::size_t total() const override { return problems_.size() * job_.k; }

    language::Sampling sampling() const override { return asking_.sampling; }

    NextItem start(const PreflightFacts& given) override {
        PreflightFacts facts = given;
        facts.less = job_.shots > 0                  ? "--max-tokens, --shots"
                     : !job_.prompt_template.empty() ? "--max-tokens, --prompt-template"
                                                     : "--max-tokens";
        // Where the longest question has room, all have.
        const auto longest = std::ranges::max_element(
            problems_, {}, [](const Problem& problem) { return problem.question.size(); });
        check_room(format("problem {}", longest->id), make_question(*longest), facts);
        return reason_items(problems_, asking_);
    }

    Place find_place(const Json& line) const override {
        return {.row = line.at("task").as_string("'task'"),
                .column = format("avg@{}", job_.k),
                .score = line.at("correct").as_boolean("'correct'") ? 1.0 : 0.0};
    }

    std::vector<Question> short_questions() override {
        constexpr std::size_t most = 4;
        constexpr std::size_t tokens = 64;
        std::vector<Question> questions;
        for (std::size_t i = 0; i < std::min(most, problems_.size()); ++i) {
            questions.push_back(make_question(problems_[i]));
            questions.back().max_new_tokens = std::min(tokens, asking_.max_new_tokens);
        }
        return questions;
    }
    std::vector<Question> long_questions() override { return {}; }

private:
    Question make_question(const Problem& problem) const {
        return {.id = problem.id,
                .input = asking_.prompt.render(problem),
                .max_new_tokens = asking_.max_new_tokens,
                .stop = asking_.prompt.stop};
    }

    const ReasonJob& job_;
    std::vector<Problem> problems_;
    ReasonAsking asking_;
};

}  // namespace

EvaluationReport run_reason(const ReasonJob& job, Scoreboard& scoreboard, const Watch& watch) {
    if (job.shots > 0 && (job.train.empty() || !job.prompt_template.empty())) {
        throw Error(ErrorKind::usage,
                    "--shots takes its examples from --train, and no --prompt-template");
    }
    if (job.shots == 0 && !job.train.empty()) {
        throw Error(ErrorKind::usage,
                    "--train gives the worked examples of --shots; give both, or neither");
    }
    language::Sampling sampling = job.sampling;
    sampling.seed = 0;  // it draws worked examples too, and is a setting that a run goes on with
    language::refuse_idle_settings(sampling);
    ReasonEvaluation evaluation(job);
    return run_evaluation(evaluation, job.asking, scoreboard, watch);
}

}  // namespace anamnesis::eval
