// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/run.hpp"
#include "anamnesis/train/run_folder.hpp"
#include "anamnesis/train/schedule.hpp"
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
Json settings_of(const TrainOptions& options, std::uint64_t steps) {
    const auto list = [](const auto& values) {
        Json::Array array;
        for (const auto& value : values) {
            array.emplace_back(value);
        }
        return Json(std::move(array));
    };
    return Json::Object{{"model", options.checkpoint},
                        {"batches", options.batches},
                        {"steps", steps},
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

std::uint64_t steps_of(const TrainOptions& options, const train::BatchesFile& batches) {
    const std::uint64_t steps = options.steps.value_or(batches.steps());
    if (steps == 0 || steps > batches.steps()) {
        throw Error(ErrorKind::usage,
                    format("--steps is {}; {} has batches for {}",
                           steps,
                           in_quotes(options.batches, 1000),
                           batches.steps()));
    }
    return steps;
}

train::Trainer make_trainer(const OpenedCheckpoint& opened, const TrainOptions& options) {
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
            {.frozen = options.frozen, .rates = options.rates, .anchors = options.anchors})};
    if (options.clip > 0.0) {
        settings.clip = options.clip;
    }
    if (options.dtype == "f32") {
        return {load(at::kFloat), std::move(settings)};
    }
    // Masters begin as the file has them, not as bfloat16 rounds them.
    return {load(at::kBFloat16), std::move(settings), load(at::kFloat).parameters()};
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

}  // namespace

int run(const TrainOptions& options, Terminal& terminal) {
    runtime::use_threads(options.common.threads);
    const train::BatchesFile source{options.batches};
    const std::uint64_t steps = steps_of(options, source);
    const OpenedCheckpoint opened =
        open_checkpoint(options.checkpoint, options.reading, checkpoint::Missing::refuse);
    train::RunFolder folder(options.out, settings_of(options, steps));
    if (folder.receipt()) {
        terminal.say("this run is finished already");
        tell_result(options, *folder.receipt(), terminal);
        return 0;
    }
    train::Trainer trainer = runtime::at_the_door([&] { return make_trainer(opened, options); });
    ProgressBar progress(terminal.is_quiet());
    progress.begin("training", steps, ProgressUnit::samples);
    const train::RunResult result =
        train::run(trainer,
                   source,
                   folder,
                   {.schedule = {.peak = options.learning_rate,
                                 .decay = train::decay_of(options.schedule),
                                 .steps = steps,
                                 .warmup = options.warmup,
                                 .min_ratio = options.min_lr_ratio},
                    .save_every = options.save_every,
                    .observer = [&](std::uint64_t /*step*/,
                                    const train::StepFigures& /*figures*/) { progress.advance(1); },
                    .cancel = stop_on_signal()});
    progress.finish();
    train::write_checkpoint(opened.checkpoint, trainer.weights(), folder.path());
    folder.finish(Json::Object{{"steps", steps},
                               {"loss", result.last_loss},
                               {"resumed_at", result.first_step},
                               {"tokens", result.tokens},
                               {"seconds", result.seconds}});
    tell_result(options, *folder.receipt(), terminal);
    return 0;
}

}  // namespace anamnesis::app
