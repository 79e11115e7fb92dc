// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file_digest.hpp"
#include "anamnesis/io/sampled_digest.hpp"
#include "anamnesis/train/fine_tune.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/training_data.hpp"

namespace anamnesis::train {
namespace {

template <class Values>
Json list_json(const Values& values) {
    Json::Array array;
    for (const auto& value : values) {
        array.emplace_back(value);
    }
    return Json(std::move(array));
}

/// Paths may come to name something else: a run goes on with the same bytes only. What is not there
/// is for those to say who open it.
Json digest_inputs(const FineTuneJob& job) {
    Json digests = Json::object();
    const auto add = [&](const std::string& role, const std::string& path) {
        if (!path.empty() && std::filesystem::exists(path)) {
            digests.set(
                role, role.starts_with("data") ? io::digest_file(path) : io::sampled_digest(path));
        }
    };
    for (std::size_t i = 0; i < job.data.files.size(); ++i) {
        add(format("data {}", i + 1), job.data.files[i]);
    }
    add("batches", job.data.batches);
    if (!job.random) {
        add("model", job.checkpoint);
        for (const char* name : {"tokenizer.json", "tokenizer.model", "chat_template.jinja"}) {
            add(format("data words {}", name),
                (std::filesystem::path(job.checkpoint) / name).string());
        }
    }
    if (job.lora) {
        add("lora", job.lora->start);
    }
    if (job.data.replay) {
        add("data of replay", job.data.replay->file);
    }
    return digests;
}

}  // namespace

Json describe(const FineTuneJob& job) {
    const TrainingData& data = job.data;
    const bool is_fan_in = job.random && job.random->initialiser == Initialiser::fan_in;
    Json settings = Json::Object{{"model", job.checkpoint},
                                 {"init", job.random ? job.random->name : std::string()},
                                 {"initializer", is_fan_in ? "fan_in" : "range"},
                                 {"batches", data.batches},
                                 {"data", list_json(describe_data(data))},
                                 {"chat", data.uses_chat_template},
                                 {"loss_on_all", data.learns_prompts},
                                 {"batch_size", data.rows},
                                 {"length", data.length},
                                 {"pack", data.is_packed},
                                 {"accumulate", data.accumulated},
                                 {"seed", data.seed},
                                 {"stages", list_json(describe_stages(data))},
                                 {"steps", job.steps ? Json(*job.steps) : Json()},
                                 {"lr", job.learning_rate},
                                 {"schedule", to_string(job.decay)},
                                 {"warmup", job.warmup},
                                 {"min_lr_ratio", job.min_lr_ratio},
                                 {"betas", list_json(std::array{job.adamw.beta1, job.adamw.beta2})},
                                 {"eps", job.adamw.eps},
                                 {"weight_decay", job.adamw.weight_decay},
                                 {"clip", job.clip},
                                 {"dtype", job.type == TrainingType::f32 ? "f32" : "bf16"},
                                 {"freeze", list_json(job.rules.frozen)},
                                 {"lr_scale", list_json(job.rules.rates)},
                                 {"anchor", list_json(job.rules.anchors)}};
    settings.set("digests", digest_inputs(job));
    if (job.lora) {
        settings.set("lora", describe(*job.lora));
    }
    if (data.replay) {
        settings.set("replay", describe_replay(*data.replay));
        settings.set("replay_rows", data.replay->rows);
    }
    if (job.more_settings.is_object()) {
        for (const auto& [key, value] : job.more_settings.as_object("settings")) {
            settings.set(key, value);
        }
    }
    return settings;
}

}  // namespace anamnesis::train
