// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/train/adamw.hpp"
#include "anamnesis/train/evaluation.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/lora.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/training_data.hpp"

namespace anamnesis::train {

/// The type that a network computes in. Weights are updated in float32 in either.
enum class TrainingType : std::uint8_t { f32, bf16 };

/// A training run from its start to its checkpoint.
struct FineTuneJob {
    std::filesystem::path out{};  ///< the folder of the run; the same job resumes there

    /// The checkpoint to start from, if not random weights.
    std::string checkpoint{};
    checkpoint::OpenOptions opening{};
    checkpoint::RecogniseOptions recognising{};

    /// Random weights to start from; their checkpoint is OUT/initial.
    struct RandomStart {
        std::string name{};  ///< of the config, as the folder remembers it
        Json config{};
        Initialiser initialiser = Initialiser::range;
    };
    std::optional<RandomStart> random{};

    TrainingData data{};
    std::optional<std::uint64_t> steps{};  ///< absent: as many as the data are made for

    double learning_rate = 1e-4;  ///< the highest
    Decay decay = Decay::cosine;
    std::uint64_t warmup = 0;  ///< steps in which the learning rate rises
    double min_lr_ratio = 0.0;
    AdamWSettings adamw{};
    double clip = 1.0;  ///< the largest norm of the gradients; 0: no limit
    RuleWords rules{};
    std::optional<LoraSettings> lora{};  ///< adapters learn, the checkpoint stays as it is

    TrainingType type = TrainingType::f32;
    std::string device = "cpu";
    unsigned threads = 0;  ///< 0: every core this process may use
    bool recomputes_layers = false;

    std::uint64_t save_every = 0;  ///< steps between states to resume from; 0: only after a stop
    EvaluationPlan evaluation{};
    bool writes_tensorboard = false;
    std::string phase = "training";  ///< what the watch calls it
    Json more_settings{};            ///< an object of what else must be the same to resume
};

struct FineTuneResult {
    bool was_finished = false;  ///< by an earlier call: nothing was done
    std::uint64_t steps = 0;
    double loss = 0.0;  ///< of the last step
    Json receipt{};     ///< training.json
};

/// What decides the weights at the end, as the run's folder remembers it: all but where the run
/// goes and how it is watched.
Json describe(const FineTuneJob& job);

/// Trains and writes the checkpoint: the files, headers and types of the one the run started from,
/// other weights; with `lora` the adapter alone, as PEFT reads it. Goes on where an earlier call
/// was stopped. With `processes` several do it together; the first one alone writes and tells.
/// Errors: those of `make_course`, `make_evaluation` and the checkpoint, all before the first step;
///         `exhausted` where not even gradients and moments can be held; those of `run`.
FineTuneResult fine_tune(const FineTuneJob& job, const Watch& watch, Processes& processes);

/// The same in this process alone.
FineTuneResult fine_tune(const FineTuneJob& job, const Watch& watch = {});

}  // namespace anamnesis::train
