// SPDX-License-Identifier: Apache-2.0
#include "training.hpp"

#include <cstdint>
#include <filesystem>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/variant.hpp"
#include "anamnesis/train/fine_tune.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/schedule.hpp"

namespace anamnesis::reproduction {

void train_variant(const Training& training,
                   std::uint64_t seed,
                   const std::filesystem::path& folder,
                   unsigned threads,
                   const Watch& watch) {
    const Course& course = *training.course;
    train::FineTuneJob job;
    job.out = folder;
    job.data.task = course.task;
    job.data.stages = course.stages;
    job.data.seed = seed;
    job.learning_rate = course.learning_rate;
    job.decay = train::Decay::cosine;
    job.warmup = course.warmup;
    job.min_lr_ratio = course.min_ratio;
    job.adamw = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = course.weight_decay};
    job.clip = 1.0;
    job.rules.rates = course.rates;
    job.threads = threads;
    job.save_every = 200;
    job.phase = format("seed {}: {}", seed, folder.filename().string());
    job.more_settings = Json::Object{{"threads", std::uint64_t{threads}}};
    if (training.config != nullptr) {
        job.random = {.name = "recipe.json",
                      .config = *training.config,
                      .initialiser = train::Initialiser::fan_in};
    } else {
        job.checkpoint = (folder.parent_path() / training.start).string();
        job.more_settings.set("model", training.start);  // wherever the folders are moved
    }
    if (!training.frozen.empty()) {
        job.rules.frozen.push_back(training.frozen);
    }
    // Its lines would be one a variant; the folder of a seed is told of as a whole.
    train::fine_tune(job, Watch(watch.progress(), watch.stop()));
}

}  // namespace anamnesis::reproduction
