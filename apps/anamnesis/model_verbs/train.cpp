// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/launcher.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/events_file.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/memory.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/run.hpp"
#include "anamnesis/train/run_folder.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/trainer.hpp"

#include "model_verbs/train_course.hpp"
#include "model_verbs/train_evaluation.hpp"
#include "model_verbs/train_options.hpp"
#include "open_checkpoint.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

/// Everything that decides what the weights become: the folder of a run remembers it.
Json settings_of(const TrainOptions& options) {
    const auto list = [](const auto& values) {
        Json::Array array;
        for (const auto& value : values) {
            array.emplace_back(value);
        }
        return Json(std::move(array));
    };
    Json settings = Json::Object{{"model", options.checkpoint},
                                 {"init", options.init},
                                 {"initializer", options.initializer},
                                 {"batches", options.batches},
                                 {"data", list(options.data)},
                                 {"chat", options.chat},
                                 {"loss_on_all", options.learns_prompts},
                                 {"batch_size", options.batch_size},
                                 {"length", options.length},
                                 {"pack", options.is_packed},
                                 {"accumulate", options.accumulated},
                                 {"seed", options.seed},
                                 {"stages", list(options.stages)},
                                 {"steps", options.steps ? Json(*options.steps) : Json()},
                                 {"lr", options.learning_rate},
                                 {"schedule", options.schedule},
                                 {"warmup", options.warmup},
                                 {"min_lr_ratio", options.min_lr_ratio},
                                 {"betas", list(options.betas)},
                                 {"eps", options.eps},
                                 {"weight_decay", options.weight_decay},
                                 {"clip", options.clip},
                                 {"dtype", options.dtype},
                                 {"freeze", list(options.frozen)},
                                 {"lr_scale", list(options.rates)},
                                 {"anchor", list(options.anchors)}};
    if (!options.replay.empty()) {
        settings.set("replay", options.replay);
        settings.set("replay_rows", options.replay_rows);
    }
    return settings;
}

/// Processes that share a machine take one device each.
at::Device device_of(const TrainOptions& options) {
    const at::Device device = runtime::device_of(options.device);
    const auto launched = launched_rank();
    const bool is_named = options.device.find(':') != std::string::npos;
    return device.is_cpu() || is_named || !launched
               ? device
               : runtime::device_of(format("{}:{}", options.device, launched->local));
}

train::Trainer make_trainer(const OpenedCheckpoint& opened,
                            const TrainOptions& options,
                            train::Processes& processes) {
    const runtime::ModelSpec spec = runtime::describe(opened.checkpoint, opened.model);
    const auto load = [&](at::ScalarType type) {
        return runtime::Network::load(opened.checkpoint,
                                      spec,
                                      {.weight_type = type,
                                       .device = device_of(options),
                                       .is_trainable = true,
                                       .recomputes_layers = options.recomputes_layers});
    };
    train::TrainerSettings settings{
        .adamw = {.beta1 = options.betas.at(0),
                  .beta2 = options.betas.at(1),
                  .eps = options.eps,
                  .weight_decay = options.weight_decay},
        .rules = train::row_rules_of(
            opened.checkpoint,
            opened.model,
            {.frozen = options.frozen, .rates = options.rates, .anchors = options.anchors}),
        .processes = &processes};
    if (options.clip > 0.0) {
        settings.clip = options.clip;
    }
    if (options.dtype == "f32") {
        return {load(at::kFloat), std::move(settings)};
    }
    // Masters begin as the file has them, not as bfloat16 rounds them.
    return {load(at::kBFloat16), std::move(settings), load(at::kFloat).parameters()};
}

/// The checkpoint to start from; one of random weights is made in OUT/initial.
std::string start_of(const TrainOptions& options, const train::RunFolder& folder) {
    if (options.init.empty()) {
        return options.checkpoint;
    }
    const fs::path initial = folder.path() / "initial";
    train::write_initial_checkpoint(
        Json::parse_python(io::read_text(options.init)),
        options.initializer == "fan_in" ? train::Initialiser::fan_in : train::Initialiser::range,
        options.seed,
        initial);
    if (is_synthetic(options)) {
        io::write_text_atomically(initial / "tokenizer.json", train::synthetic::tokenizer_json());
        io::write_text_atomically(initial / "tokenizer_config.json",
                                  train::synthetic::tokenizer_config_json());
    }
    return initial.string();
}

using Clock = std::chrono::steady_clock;

std::string note_of(const train::StepFigures& figures, Clock::time_point& last) {
    const Clock::time_point now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last).count();
    last = now;
    return format("loss {:.4f}, {:.0f} tokens/s",
                  figures.loss,
                  seconds > 0.0 ? static_cast<double>(figures.tokens) / seconds : 0.0);
}

/// The numbers of a line of metrics, nested ones as "evaluation/S1/256".
void add_scalars(const Json& value, const std::string& name, train::EventsFile::Scalars& scalars) {
    if (value.is_object()) {
        for (const auto& [key, inner] : value.as_object("metrics")) {
            add_scalars(inner, name.empty() ? key : format("{}/{}", name, key), scalars);
        }
    } else if (name != "step") {
        scalars.emplace_back(name, value.as_double(name));
    }
}

train::EventsFile::Scalars scalars_of(const Json& line) {
    train::EventsFile::Scalars scalars;
    add_scalars(line, "", scalars);
    return scalars;
}

/// Says what a step will hold; stops where not even gradients and moments can be held.
void tell_memory(const train::MemoryEstimate& estimate,
                 const at::Device& device,
                 Terminal& terminal) {
    const std::uint64_t available = train::available_memory(device);
    const std::uint64_t held = device.is_cpu() ? train::resident_memory() : estimate.weights;
    const std::uint64_t lasting = estimate.gradients + estimate.moments;
    const std::string text =
        format("memory{}: about {}: {} {}, gradients {}, moments {}, activations {}",
               device.is_cpu() ? "" : " of " + device.str(),
               human_bytes(held + lasting + estimate.activations),
               device.is_cpu() ? "program and weights" : "weights",
               human_bytes(held),
               human_bytes(estimate.gradients),
               human_bytes(estimate.moments),
               human_bytes(estimate.activations));
    terminal.say(text);
    if (available == 0 || lasting + estimate.activations <= available) {
        return;
    }
    if (lasting > available) {
        throw Error(ErrorKind::exhausted,
                    format("{}; {} are free: freeze groups or take a smaller model",
                           text,
                           human_bytes(available)));
    }
    terminal.warn(
        format("{} are free: a smaller --batch-size with a larger --accumulate, a smaller --length "
               "or --checkpoint-activations takes less",
               human_bytes(available)));
}

void tell_result(const TrainOptions& options, const Json& receipt, Terminal& terminal) {
    if (options.common.json) {
        terminal.result(receipt.dump(2) + "\n");
    }
    terminal.say(format("{}: {} steps, loss {:.4f}",
                        options.out,
                        receipt.at("steps").as_unsigned("steps"),
                        receipt.at("loss").as_double("loss")));
}

/// The folder, made by the first process, and the checkpoint to start from.
struct Start {
    train::RunFolder folder;
    std::string checkpoint;
};

Start start_together(const TrainOptions& options, train::Processes& processes) {
    std::optional<Start> start;
    processes.agree([&] {
        if (processes.is_first()) {
            train::RunFolder folder(options.out, settings_of(options));
            const bool is_finished = folder.receipt().has_value();
            std::string checkpoint = is_finished ? "" : start_of(options, folder);
            start = Start{.folder = std::move(folder), .checkpoint = std::move(checkpoint)};
        }
    });
    if (!start) {
        start = Start{.folder = train::RunFolder::of_another(options.out),
                      .checkpoint = options.init.empty()
                                        ? options.checkpoint
                                        : (fs::path(options.out) / "initial").string()};
    }
    return *std::move(start);
}

int train_with(train::Processes& processes,
               const TrainOptions& options,
               Terminal& terminal,
               const Watch& watch) {
    auto [folder, checkpoint] = start_together(options, processes);
    if (const auto& receipt = folder.receipt()) {
        terminal.say("this run is finished already");
        tell_result(options, *receipt, terminal);
        return 0;
    }
    std::optional<OpenedCheckpoint> files;
    Course course;
    std::optional<train::Trainer> learner;
    processes.agree([&] {
        files = open_checkpoint(checkpoint, options.reading, checkpoint::Missing::refuse);
        course = course_of(options, files.value());
        runtime::at_the_door(
            [&] { learner.emplace(make_trainer(files.value(), options, processes)); });
    });
    ANAMNESIS_CHECK(files && learner, "what all processes agreed on is there");
    const OpenedCheckpoint& opened = *files;
    train::Trainer& trainer = *learner;
    const std::uint64_t steps = course.steps;
    processes.agree([&] {
        tell_memory(train::estimate_memory(
                        trainer.network(), course.source->largest(), options.recomputes_layers),
                    device_of(options),
                    terminal);
    });
    ProgressBar progress(terminal.is_quiet() || !processes.is_first());
    Clock::time_point since_last_step = Clock::now();
    std::optional<train::EventsFile> events;
    std::uint64_t told_steps = 0;  // a resumed run begins behind the first
    progress.begin("training", steps, ProgressUnit::steps);
    const train::RunResult result = train::run(
        trainer,
        *course.source,
        folder,
        {.schedule = {.peak = options.learning_rate,
                      .decay = train::decay_of(options.schedule),
                      .steps = steps,
                      .warmup = options.warmup,
                      .min_ratio = options.min_lr_ratio},
         .save_every = options.save_every,
         .observer =
             [&](std::uint64_t step, const train::StepFigures& figures, const Json& line) {
                 if (options.tensorboard) {
                     if (!events) {
                         events.emplace(folder.path(), step);
                     }
                     events->add(step, scalars_of(line));
                 }
                 progress.note(note_of(figures, since_last_step));
                 progress.advance(told_steps == 0 ? step + 1 : 1);
                 ++told_steps;
             },
         .evaluate_every = options.evaluate_every,
         .evaluate = evaluation_of(options, opened, trainer, watch),
         .cancel = watch.stop(),
         .processes = &processes});
    progress.finish();
    processes.agree([&] {
        if (processes.is_first()) {
            train::write_checkpoint(opened.checkpoint, trainer.weights(), folder.path());
            folder.finish(Json::Object{{"steps", steps},
                                       {"loss", result.last_loss},
                                       {"resumed_at", result.first_step},
                                       {"tokens", result.tokens},
                                       {"seconds", result.seconds},
                                       {"processes", processes.count()}});
            tell_result(options, *folder.receipt(), terminal);
        }
    });
    return 0;
}

int run(const TrainOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.checkpoint.empty() == options.init.empty()) {
        throw Error(ErrorKind::usage, "give one of --model and --init");
    }
    runtime::use_threads(options.common.threads);
    const std::unique_ptr<train::Processes> processes = train::launched_processes();
    if (processes->is_first()) {
        return train_with(*processes, options, terminal, watch);
    }
    Terminal silent(/*is_quiet=*/true);
    TrainOptions quiet = options;
    quiet.common.json = false;
    try {
        return train_with(*processes, quiet, silent, watch);
    } catch (const Error& error) {
        if (processes->failed_elsewhere()) {
            return exit_code_of(error.kind());
        }
        throw;
    }
}

}  // namespace

Action add_train(CLI::App& app) {
    return make_action<TrainOptions>(app, declare_train, run);
}

}  // namespace anamnesis::app
