// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/train/evaluation.hpp"
#include "anamnesis/train/fine_tune.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/lora.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/synthetic/source.hpp"
#include "anamnesis/train/training_data.hpp"

#include "model_verbs/train_options.hpp"
#include "open_checkpoint.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

train::TrainingData make_data(const TrainOptions& options) {
    train::TrainingData data{.batches = options.batches,
                             .uses_chat_template = options.chat,
                             .learns_prompts = options.learns_prompts,
                             .rows = options.batch_size,
                             .length = options.length,
                             .is_packed = options.is_packed,
                             .accumulated = options.accumulated,
                             .seed = options.seed};
    train::set_sources(data, options.data);
    for (const std::string& word : options.stages) {
        data.stages.push_back(train::synthetic::parse_stage(word));
    }
    if (!options.replay.empty()) {
        data.replay = train::parse_replay(options.replay, options.replay_rows);
    }
    return data;
}

train::EvaluationPlan make_plan(const TrainOptions& options) {
    train::EvaluationPlan plan{
        .every = options.evaluate_every,
        .lengths = {options.evaluated_lengths.begin(), options.evaluated_lengths.end()},
        .samples = options.evaluated_samples,
        .uses_chat_template = options.chat};
    if (!options.evaluated_task.empty()) {
        plan.reasoning = train::EvaluationPlan::Reasoning{
            .task = parse_word(eval::reasoning_task_words, options.evaluated_task, "--eval-reason"),
            .data = options.evaluated_data};
    }
    return plan;
}

void set_start(const TrainOptions& options, train::FineTuneJob& job) {
    job.checkpoint = options.checkpoint;
    job.opening = make_open_options(options.reading);
    job.recognising = make_recognise_options(options.reading);
    if (!options.init.empty()) {
        job.random = {.name = options.init,
                      .config = Json::parse_python(io::read_text(options.init)),
                      .initialiser = options.initialiser};
    }
}

train::FineTuneJob make_job(const TrainOptions& options) {
    train::FineTuneJob job;
    job.out = options.out;
    job.data = make_data(options);
    job.steps = options.steps;
    job.learning_rate = options.learning_rate;
    job.decay = options.decay;
    job.warmup = options.warmup;
    job.min_lr_ratio = options.min_lr_ratio;
    job.adamw = {.beta1 = options.betas.at(0),
                 .beta2 = options.betas.at(1),
                 .eps = options.eps,
                 .weight_decay = options.weight_decay};
    job.clip = options.clip;
    job.rules = {.frozen = options.frozen, .rates = options.rates, .anchors = options.anchors};
    if (!options.lora.empty()) {
        job.lora = train::parse_lora(options.lora);
    }
    job.type = options.dtype == "f32" ? train::TrainingType::f32 : train::TrainingType::bf16;
    job.device = options.device;
    job.threads = options.common.threads;
    job.recomputes_layers = options.recomputes_layers;
    job.save_every = options.save_every;
    job.evaluation = make_plan(options);
    job.writes_tensorboard = options.tensorboard;
    set_start(options, job);
    return job;
}

int run(const TrainOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.checkpoint.empty() == options.init.empty()) {
        throw Error(ErrorKind::usage, "give one of --model and --init");
    }
    const train::FineTuneJob job = make_job(options);
    const std::unique_ptr<train::Processes> processes = train::launched_processes();
    train::FineTuneResult result;
    try {
        result = train::fine_tune(job, watch, *processes);
    } catch (const Error& error) {
        // Of several processes one says why: the one that failed, or the first after a stop.
        const bool is_told_elsewhere =
            processes->failed_elsewhere() ||
            (error.kind() == ErrorKind::cancelled && !processes->is_first());
        if (is_told_elsewhere) {
            return to_exit_code(error.kind());
        }
        throw;
    }
    if (!processes->is_first()) {
        return 0;
    }
    if (result.was_finished) {
        terminal.say("this run is finished already");
    }
    if (options.common.json) {
        terminal.result(result.receipt.dump(2) + "\n");
    }
    terminal.say(format("{}: {} steps, loss {:.4f}", options.out, result.steps, result.loss));
    return 0;
}

}  // namespace

Action add_train(CLI::App& app) {
    return make_action<TrainOptions>(app, declare_train, run);
}

}  // namespace anamnesis::app
