// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/memory.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/run.hpp"
#include "anamnesis/train/run_folder.hpp"
#include "anamnesis/train/sample.hpp"
#include "anamnesis/train/samples_source.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/synthetic/source.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/trainer.hpp"

#include "interrupt.hpp"
#include "model_verbs/model_verbs.hpp"
#include "open_checkpoint.hpp"
#include "options.hpp"
#include "terminal.hpp"

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
    return Json::Object{{"model", options.checkpoint},
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
}

/// What is trained on, and for how long.
struct Course {
    std::unique_ptr<train::BatchSource> source;
    std::uint64_t steps = 0;
};

Course ready_course(const TrainOptions& options) {
    auto batches = std::make_unique<train::BatchesFile>(options.batches);
    const std::uint64_t steps = options.steps.value_or(batches->steps());
    if (steps == 0 || steps > batches->steps()) {
        throw Error(ErrorKind::usage,
                    format("--steps is {}; {} has batches for {}",
                           steps,
                           in_quotes(options.batches, 1000),
                           batches->steps()));
    }
    return {.source = std::move(batches), .steps = steps};
}

constexpr std::string_view synthetic_prefix = "synthetic:";

bool is_synthetic(const TrainOptions& options) {
    return options.data.size() == 1 && options.data.front().starts_with(synthetic_prefix);
}

train::synthetic::Stage stage_of(const std::string& word) {
    const std::vector<std::string> parts = split(word, 'x');
    std::array<std::uint64_t, 3> numbers{};
    bool is_stage = parts.size() == numbers.size();
    for (std::size_t i = 0; is_stage && i < numbers.size(); ++i) {
        const char* end = parts[i].data() + parts[i].size();
        const auto [rest, error] = std::from_chars(parts[i].data(), end, numbers.at(i));
        is_stage = error == std::errc{} && rest == end && numbers.at(i) < (1U << 24U);
    }
    if (!is_stage) {
        throw Error(ErrorKind::usage,
                    format("--stages has {}, expected STEPSxROWSxLENGTH", in_quotes(word)));
    }
    return {.steps = numbers[0], .rows = numbers[1], .length = numbers[2]};
}

Course synthetic_course(const TrainOptions& options) {
    std::vector<train::synthetic::Stage> stages;
    for (const std::string& word : options.stages) {
        stages.push_back(stage_of(word));
    }
    auto source = std::make_unique<train::synthetic::SyntheticSource>(
        train::synthetic::task_of(
            std::string_view(options.data.front()).substr(synthetic_prefix.size())),
        std::move(stages),
        options.seed);
    const std::uint64_t steps = options.steps.value_or(source->steps());
    return {.source = std::move(source), .steps = steps};
}

Course course_of(const TrainOptions& options, const OpenedCheckpoint& opened) {
    if (!options.batches.empty()) {
        return ready_course(options);
    }
    if (is_synthetic(options)) {
        return synthetic_course(options);
    }
    if (options.data.empty()) {
        throw Error(ErrorKind::usage, "nothing to train on: give --data or --batches");
    }
    if (options.is_packed && options.length == 0) {
        throw Error(ErrorKind::usage, "--pack needs --length, the tokens of a packed row");
    }
    const fs::path folder = opened.checkpoint.folder();
    std::optional<language::Tokenizer> tokenizer;
    if (fs::exists(folder / "tokenizer.json") || fs::exists(folder / "vocab.json")) {
        tokenizer = language::Tokenizer::open(folder);
    }
    train::EncodingRules rules{.tokenizer = tokenizer ? &*tokenizer : nullptr,
                               .learns_prompts = options.learns_prompts,
                               .longest = options.length};
    if (options.chat) {
        rules.chat = language::ChatTemplate::open(folder);
    }
    const auto ends = language::end_of_text_tokens(folder, opened.checkpoint.config());
    if (!ends.empty()) {
        rules.end_of_text = ends.front();
    }
    std::vector<train::Sample> samples;
    for (const std::string& path : options.data) {
        std::vector<train::Sample> more = train::read_samples(path, rules);
        std::ranges::move(more, std::back_inserter(samples));
    }
    auto source = std::make_unique<train::SamplesSource>(
        std::move(samples),
        train::BatchingRules{.rows = options.batch_size,
                             .accumulated = options.accumulated,
                             .packed_length = options.is_packed ? options.length : 0,
                             .seed = options.seed});
    const std::uint64_t rows = options.batch_size * options.accumulated;
    const std::uint64_t epoch = (source->units() + rows - 1) / rows;
    return {.source = std::move(source), .steps = options.steps.value_or(epoch)};
}

train::Trainer make_trainer(const OpenedCheckpoint& opened,
                            const TrainOptions& options,
                            train::Processes& processes) {
    const runtime::ModelSpec spec = runtime::describe(opened.checkpoint, opened.model);
    const auto load = [&](at::ScalarType type) {
        return runtime::Network::load(
            opened.checkpoint, spec, {.weight_type = type, .is_trainable = true});
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

/// Says what a step will hold; stops where not even gradients and moments can be held.
void tell_memory(const train::MemoryEstimate& estimate, Terminal& terminal) {
    const std::uint64_t available = train::available_memory();
    const std::uint64_t held = train::resident_memory();
    const std::uint64_t lasting = estimate.gradients + estimate.moments;
    const std::string text =
        format("memory: about {}: program and weights {}, gradients {}, moments {}, activations {}",
               human_bytes(held + lasting + estimate.activations),
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
        format("{} are free: a smaller --batch-size with a larger --accumulate, or a "
               "smaller --length, takes less",
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

int train_with(train::Processes& processes, const TrainOptions& options, Terminal& terminal) {
    auto [folder, checkpoint] = start_together(options, processes);
    if (folder.receipt()) {
        terminal.say("this run is finished already");
        tell_result(options, *folder.receipt(), terminal);
        return 0;
    }
    std::optional<OpenedCheckpoint> files;
    Course course;
    std::optional<train::Trainer> learner;
    processes.agree([&] {
        files = open_checkpoint(checkpoint, options.reading, checkpoint::Missing::refuse);
        course = course_of(options, *files);
        runtime::at_the_door([&] { learner.emplace(make_trainer(*files, options, processes)); });
    });
    const OpenedCheckpoint& opened = *files;
    train::Trainer& trainer = *learner;
    const std::uint64_t steps = course.steps;
    processes.agree([&] {
        tell_memory(train::estimate_memory(trainer.network(), course.source->largest()), terminal);
    });
    ProgressBar progress(terminal.is_quiet() || !processes.is_first());
    Clock::time_point since_last_step = Clock::now();
    std::uint64_t told_steps = 0;  // a resumed run begins behind the first
    progress.begin("training", steps, ProgressUnit::steps);
    const train::RunResult result =
        train::run(trainer,
                   *course.source,
                   folder,
                   {.schedule = {.peak = options.learning_rate,
                                 .decay = train::decay_of(options.schedule),
                                 .steps = steps,
                                 .warmup = options.warmup,
                                 .min_ratio = options.min_lr_ratio},
                    .save_every = options.save_every,
                    .observer =
                        [&](std::uint64_t step, const train::StepFigures& figures, const Json&) {
                            progress.note(note_of(figures, since_last_step));
                            progress.advance(told_steps == 0 ? step + 1 : 1);
                            ++told_steps;
                        },
                    .cancel = stop_on_signal(),
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

}  // namespace

int run(const TrainOptions& options, Terminal& terminal) {
    runtime::use_threads(options.common.threads);
    const std::unique_ptr<train::Processes> processes = train::launched_processes();
    if (processes->is_first()) {
        return train_with(*processes, options, terminal);
    }
    Terminal silent(/*is_quiet=*/true);
    TrainOptions unspoken = options;
    unspoken.common.json = false;
    try {
        return train_with(*processes, unspoken, silent);
    } catch (const Error& error) {
        if (processes->failed_elsewhere()) {
            return exit_code_of(error.kind());
        }
        throw;
    }
}

}  // namespace anamnesis::app
