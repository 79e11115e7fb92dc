// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/fine_tune.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/launcher.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/checkpoint_output.hpp"
#include "anamnesis/train/evaluation.hpp"
#include "anamnesis/train/events_file.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/lora.hpp"
#include "anamnesis/train/memory.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/run.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/trainer.hpp"
#include "anamnesis/train/training_data.hpp"
#include "anamnesis/train/training_folder.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;

/// Processes that share a machine take one device each.
at::Device find_device(const FineTuneJob& job) {
    const at::Device device = runtime::parse_device(job.device);
    const auto launched = launched_rank();
    const bool is_named = job.device.find(':') != std::string::npos;
    return device.is_cpu() || is_named || !launched
               ? device
               : runtime::parse_device(format("{}:{}", job.device, launched->local));
}

at::ScalarType to_scalar_type(TrainingType type) {
    return type == TrainingType::f32 ? at::kFloat : at::kBFloat16;
}

/// The base as it is, computed with in the job's type, and factors in float32 beside it.
Trainer make_lora_trainer(const FineTuneJob& job,
                          const checkpoint::RecognisedCheckpoint& opened,
                          TrainerSettings settings,
                          std::optional<LoraAdapters>& adapters) {
    const at::Device device = find_device(job);
    adapters.emplace(
        *job.lora, opened, std::move(settings.rules), job.data.seed, at::kFloat, device);
    runtime::Network network =
        runtime::Network::load(opened.checkpoint,
                               runtime::describe(opened.checkpoint, opened.model),
                               {.weight_type = to_scalar_type(job.type),
                                .device = device,
                                .rounds_in_training = true,
                                .adapters = adapters->choice(),
                                .recomputes_layers = job.recomputes_layers});
    adapters->check();
    settings.rules = adapters->rules();
    return {std::move(network), std::move(settings)};
}

Trainer make_trainer(const FineTuneJob& job,
                     const checkpoint::RecognisedCheckpoint& opened,
                     Processes& processes,
                     std::optional<LoraAdapters>& adapters) {
    const runtime::ModelSpec spec = runtime::describe(opened.checkpoint, opened.model);
    const auto load = [&](at::ScalarType type) {
        return runtime::Network::load(opened.checkpoint,
                                      spec,
                                      {.weight_type = type,
                                       .device = find_device(job),
                                       .is_trainable = true,
                                       .rounds_in_training = true,
                                       .recomputes_layers = job.recomputes_layers});
    };
    TrainerSettings settings{.adamw = job.adamw,
                             .rules = make_row_rules(opened.checkpoint, opened.model, job.rules),
                             .processes = &processes};
    if (job.clip > 0.0) {
        settings.clip = job.clip;
    }
    if (job.lora) {
        return make_lora_trainer(job, opened, std::move(settings), adapters);
    }
    require_learning(opened.checkpoint, settings.rules);
    if (job.type == TrainingType::f32) {
        return {load(at::kFloat), std::move(settings)};
    }
    // Masters begin as the file has them, not as bfloat16 rounds them.
    return {load(at::kBFloat16), std::move(settings), load(at::kFloat).parameters()};
}

/// OUT/initial, with the tokenizer of the synthetic language where that is what is learned.
fs::path initial_folder(const FineTuneJob& job) {
    return job.out / "initial";
}

void write_random_start(const FineTuneJob& job) {
    const fs::path folder = initial_folder(job);
    write_initial_checkpoint(job.random->config, job.random->initialiser, job.data.seed, folder);
    if (job.data.task) {
        io::write_text_atomically(folder / "tokenizer.json", synthetic::tokenizer_json());
        io::write_text_atomically(folder / "tokenizer_config.json",
                                  synthetic::tokenizer_config_json());
    }
}

/// The folder, and in it random weights to start from; the first process makes them.
TrainingFolder open_folder(const FineTuneJob& job, Processes& processes) {
    std::optional<TrainingFolder> folder;
    processes.agree([&] {
        if (processes.is_first()) {
            folder.emplace(job.out, describe(job));
            if (!folder->receipt() && job.random) {
                write_random_start(job);
            }
        }
    });
    return folder ? *std::move(folder) : TrainingFolder::of_another(job.out);
}

/// Says what a step will hold; stops where not even gradients and moments can be held.
void tell_memory(const MemoryEstimate& estimate, const at::Device& device, const Watch& watch) {
    const std::uint64_t available = available_memory(device);
    const std::uint64_t held = device.is_cpu() ? resident_memory() : estimate.weights;
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
    watch.log(text);
    if (available == 0 || lasting + estimate.activations <= available) {
        return;
    }
    if (lasting > available) {
        throw Error(ErrorKind::exhausted,
                    format("{}; {} are free: freeze groups or take a smaller model",
                           text,
                           human_bytes(available)));
    }
    watch.warn(
        format("{} are free: a smaller --batch-size with a larger --accumulate, a smaller --length "
               "or --checkpoint-activations takes less",
               human_bytes(available)));
}

/// What a run does as it is told and is seldom meant.
std::vector<std::string> list_warnings(const FineTuneJob& job,
                                       const Course& course,
                                       const checkpoint::RecognisedCheckpoint& opened,
                                       const runtime::ModelSpec& spec) {
    std::vector<std::string> warnings;
    for (const checkpoint::Finding& finding : opened.findings()) {
        if (finding.severity != checkpoint::Severity::note) {
            warnings.push_back(describe(finding));
        }
    }
    if (job.warmup > 0 && job.warmup >= course.steps) {
        warnings.push_back(
            format("--warmup {} is not less than the {} steps: the learning rate "
                   "stays below --lr",
                   job.warmup,
                   course.steps));
    }
    const std::uint64_t longest = course.source->largest().length;
    if (!job.data.is_packed && spec.context_length > 0 && longest > spec.context_length) {
        warnings.push_back(
            format("texts of up to {} tokens are longer than the model's context "
                   "of {} (max_position_embeddings)",
                   longest,
                   spec.context_length));
    }
    const bool writes_ends = !job.data.files.empty() && !job.data.uses_chat_template;
    if (writes_ends &&
        language::end_of_text_tokens(opened.checkpoint.folder(), opened.checkpoint.config())
            .empty()) {
        warnings.emplace_back(
            "neither generation_config.json nor config.json names an end-of-text token: responses "
            "are learned without an end");
    }
    return warnings;
}

/// The numbers of a line of metrics, nested ones as "evaluation/S1/256".
void add_scalars(const Json& value, const std::string& name, EventsFile::Scalars& scalars) {
    if (value.is_object()) {
        for (const auto& [key, inner] : value.as_object("metrics")) {
            add_scalars(inner, name.empty() ? key : format("{}/{}", name, key), scalars);
        }
    } else if (name != "step") {
        scalars.emplace_back(name, value.as_double(name));
    }
}

/// Lines of metrics for TensorBoard; the file is made at the first one.
class Events {
public:
    explicit Events(fs::path folder) : folder_(std::move(folder)) {}

    void add(std::uint64_t step, const Json& line) {
        if (!file_) {
            file_.emplace(folder_, step);
        }
        EventsFile::Scalars scalars;
        add_scalars(line, "", scalars);
        file_->add(step, scalars);
    }

private:
    fs::path folder_;
    std::optional<EventsFile> file_;
};

FineTuneResult read_receipt(const Json& receipt) {
    return {.steps = receipt.at("steps").as_unsigned("'steps'"),
            .loss = receipt.at("loss").as_double("'loss'"),
            .receipt = receipt};
}

RunSettings make_run_settings(const FineTuneJob& job,
                              std::uint64_t steps,
                              const Evaluate& evaluate,
                              Events& events,
                              Processes& processes) {
    RunSettings settings{.schedule = {.peak = job.learning_rate,
                                      .decay = job.decay,
                                      .steps = steps,
                                      .warmup = job.warmup,
                                      .min_ratio = job.min_lr_ratio},
                         .save_every = job.save_every,
                         .phase = job.phase,
                         .evaluate_every = job.evaluation.every,
                         .processes = &processes};
    if (evaluate) {
        settings.evaluate = [&evaluate](const Watch& inner) { return to_json(evaluate(inner)); };
    }
    if (job.writes_tensorboard) {
        settings.on_line = [&events](std::uint64_t step, const Json& line) {
            events.add(step, line);
        };
    }
    return settings;
}

/// What a run needs, made and checked before the first step.
struct Prepared {
    std::optional<checkpoint::RecognisedCheckpoint> opened{};
    Course course{};
    std::optional<LoraAdapters> adapters{};
    std::optional<Trainer> trainer{};
    Evaluate evaluate{};
    std::vector<std::string> warnings{};
};

/// In place: the evaluation asks the trainer's network where it is.
void prepare(Prepared& prepared, const FineTuneJob& job, const Watch& watch, Processes& processes) {
    processes.agree([&] {
        prepared.opened =
            checkpoint::open_recognised(job.random ? initial_folder(job) : fs::path(job.checkpoint),
                                        job.opening,
                                        job.recognising);
        const checkpoint::RecognisedCheckpoint& opened = *prepared.opened;
        prepared.course = make_course(
            job.data,
            job.steps,
            {.checkpoint = opened.checkpoint,
             .vocabulary = runtime::describe(opened.checkpoint, opened.model).vocabulary_size});
        runtime::convert_torch_errors([&] {
            prepared.trainer.emplace(
                make_trainer(job, *prepared.opened, processes, prepared.adapters));
        });
        const runtime::Network& network = prepared.trainer->network();
        prepared.warnings = list_warnings(job, prepared.course, *prepared.opened, network.spec());
        for (const std::string& warning : prepared.warnings) {
            watch.warn(warning);
        }
        if (processes.is_first() && job.evaluation.every > 0) {
            prepared.evaluate =
                make_evaluation(job.evaluation, prepared.opened->checkpoint, network, watch);
        }
        tell_memory(
            estimate_memory(network, prepared.course.source->largest(), job.recomputes_layers),
            find_device(job),
            watch);
    });
}

FineTuneResult train_to_the_end(const FineTuneJob& job,
                                TrainingFolder& folder,
                                const Watch& watch,
                                Processes& processes) {
    Prepared prepared;
    prepare(prepared, job, watch, processes);
    ANAMNESIS_CHECK(prepared.opened && prepared.trainer, "what all processes agreed on is there");
    Events events(folder.path());
    const std::uint64_t steps = prepared.course.steps;
    const RunResult result =
        run(*prepared.trainer,
            *prepared.course.source,
            folder,
            make_run_settings(job, steps, prepared.evaluate, events, processes),
            watch);
    Json receipt = Json::Object{{"steps", steps},
                                {"loss", result.last_loss},
                                {"first_step", result.first_step},
                                {"tokens", result.tokens},
                                {"seconds", result.seconds},
                                {"processes", processes.count()}};
    if (!prepared.warnings.empty()) {
        Json warnings = Json::array();
        for (const std::string& warning : prepared.warnings) {
            warnings.push_back(warning);
        }
        receipt.set("warnings", std::move(warnings));
    }
    processes.agree([&] {
        if (processes.is_first()) {
            const NamedTensors& weights = prepared.trainer->weights();
            runtime::convert_torch_errors(
                [&] { require_finite(prepared.opened->checkpoint, weights); });
            if (prepared.adapters) {
                prepared.adapters->write(weights, folder.path());
            } else {
                write_checkpoint(prepared.opened->checkpoint, weights, folder.path());
            }
            folder.finish(receipt);
        }
    });
    return read_receipt(receipt);
}

}  // namespace

FineTuneResult fine_tune(const FineTuneJob& job, const Watch& watch, Processes& processes) {
    runtime::use_threads(job.threads);
    SilentProgress silent;
    const Watch own = processes.is_first() ? watch : Watch(silent, watch.stop());
    TrainingFolder folder = open_folder(job, processes);
    if (const auto& receipt = folder.receipt()) {
        FineTuneResult result = read_receipt(*receipt);
        result.was_finished = true;
        return result;
    }
    try {
        return train_to_the_end(job, folder, own, processes);
    } catch (...) {
        folder.discard_unbegun(initial_folder(job));
        throw;
    }
}

FineTuneResult fine_tune(const FineTuneJob& job, const Watch& watch) {
    Processes alone;
    return fine_tune(job, watch, alone);
}

}  // namespace anamnesis::train
