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
#include "anamnesis/runtime/device.hpp"
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

void set_start(const TrainOptions& options, train::FineTuneJob& job) {
    job.opening = make_open_options(options.reading);
    job.recognising = make_recognise_options(options.reading);
    if (!options.init.empty()) {
        job.random = {.name = options.init,
                      .config = Json::parse_python(io::read_text(options.init)),
                      .initialiser = options.initialiser};
    }
}

void set_data(const TrainOptions& options, train::TrainingData& data) {
    train::set_sources(data, options.data);
    for (const std::string& word : options.stages) {
        data.stages.push_back(train::synthetic::parse_stage(word));
    }
    if (!options.replay.empty()) {
        data.replay = train::parse_replay(options.replay, options.replay_rows);
    }
}

train::FineTuneJob make_job(const TrainOptions& options) {
    train::FineTuneJob job = options.job;
    set_start(options, job);
    set_data(options, job.data);
    job.adamw.beta1 = options.betas.at(0);
    job.adamw.beta2 = options.betas.at(1);
    if (!options.lora.empty()) {
        job.lora = train::parse_lora(options.lora);
    }
    job.type = options.dtype == "f32" ? train::TrainingType::f32 : train::TrainingType::bf16;
    job.threads = options.common.threads;
    job.evaluation.uses_chat_template = job.data.uses_chat_template;
    if (!options.evaluated_task.empty()) {
        job.evaluation.reasoning = train::EvaluationPlan::Reasoning{
            .task = parse_word(eval::reasoning_task_words, options.evaluated_task, "--eval-reason"),
            .data = options.evaluated_data};
    }
    return job;
}

int run(const TrainOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.job.checkpoint.empty() == options.init.empty()) {
        throw Error(ErrorKind::usage, "give one of --model and --init");
    }
    runtime::keep_freed_memory(runtime::kept_in_training);
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
    terminal.say(format("{}: {} steps, loss {:.4f}", job.out.string(), result.steps, result.loss));
    return 0;
}

}  // namespace

Action add_train(CLI::App& app) {
    return make_action<TrainOptions>(app, declare_train, run);
}

}  // namespace anamnesis::app
