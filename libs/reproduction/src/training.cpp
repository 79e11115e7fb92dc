// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/seed_run.hpp"
#include "anamnesis/reproduction/variant.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/run.hpp"
#include "anamnesis/train/run_folder.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/synthetic/source.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/trainer.hpp"

namespace anamnesis::reproduction {
namespace {

namespace fs = std::filesystem;

Json settings_of(const Training& training, std::uint64_t seed, unsigned threads) {
    return Json::Object{{"start", training.config ? *training.config : Json(training.start)},
                        {"course", to_json(*training.course)},
                        {"freeze", training.frozen},
                        {"seed", seed},
                        {"threads", std::uint64_t{threads}}};
}

/// The checkpoint to start from; one of random weights is made in FOLDER/initial.
fs::path start_of(const Training& training, std::uint64_t seed, const fs::path& folder) {
    if (training.config == nullptr) {
        return folder.parent_path() / training.start;
    }
    fs::path initial = folder / "initial";
    train::write_initial_checkpoint(*training.config, train::Initialiser::fan_in, seed, initial);
    io::write_text_atomically(initial / "tokenizer.json", train::synthetic::tokenizer_json());
    io::write_text_atomically(initial / "tokenizer_config.json",
                              train::synthetic::tokenizer_config_json());
    return initial;
}

train::Trainer trainer_of(const Training& training,
                          const checkpoint::Checkpoint& source,
                          const checkpoint::Model& model) {
    train::RuleWords words{.frozen = {}, .rates = training.course->rates, .anchors = {}};
    if (!training.frozen.empty()) {
        words.frozen.push_back(training.frozen);
    }
    return {runtime::Network::load(source,
                                   runtime::describe(source, model),
                                   {.weight_type = at::kFloat, .is_trainable = true}),
            {.adamw = {.beta1 = 0.9,
                       .beta2 = 0.95,
                       .eps = 1e-8,
                       .weight_decay = training.course->weight_decay},
             .clip = 1.0,
             .rules = train::row_rules_of(source, model, words)}};
}

}  // namespace

void train_variant(const Training& training,
                   std::uint64_t seed,
                   const fs::path& folder,
                   const Execution& execution) {
    train::RunFolder run(folder, settings_of(training, seed, execution.threads));
    if (run.receipt()) {
        return;
    }
    const auto source = checkpoint::Checkpoint::open(start_of(training, seed, folder), {});
    const auto model = checkpoint::recognise(source, {});
    train::Trainer trainer =
        runtime::at_the_door([&] { return trainer_of(training, source, model); });
    const Course& course = *training.course;
    const train::synthetic::SyntheticSource data(course.task, course.stages, seed);
    if (execution.progress != nullptr) {
        execution.progress->begin(format("seed {}: {}", seed, folder.filename().string()),
                                  data.steps(),
                                  ProgressUnit::steps);
    }
    bool is_first = true;
    const train::RunResult result =
        train::run(trainer,
                   data,
                   run,
                   {.schedule = {.peak = course.learning_rate,
                                 .decay = train::Decay::cosine,
                                 .steps = data.steps(),
                                 .warmup = course.warmup,
                                 .min_ratio = course.min_ratio},
                    .save_every = 200,
                    .observer =
                        [&](std::uint64_t step, const train::StepFigures&, const Json&) {
                            if (execution.progress != nullptr) {
                                execution.progress->advance(is_first ? step + 1 : 1);
                            }
                            is_first = false;
                        },
                    .cancel = execution.stop});
    if (execution.progress != nullptr) {
        execution.progress->finish();
    }
    train::write_checkpoint(source, trainer.weights(), folder);
    run.finish(Json::Object{{"steps", data.steps()},
                            {"loss", result.last_loss},
                            {"tokens", result.tokens},
                            {"seconds", result.seconds}});
}

}  // namespace anamnesis::reproduction
