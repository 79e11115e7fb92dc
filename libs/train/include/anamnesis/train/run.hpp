// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/trainer.hpp"
#include "anamnesis/train/training_folder.hpp"

namespace anamnesis::train {

struct RunSettings {
    Schedule schedule{};
    std::uint64_t save_every = 0;      ///< steps between states to resume from; 0: none
    std::string phase = "training";    ///< what the watch calls it
    std::uint64_t evaluate_every = 0;  ///< steps from one evaluation to the next; 0: none
    std::function<Json(const Watch&)> evaluate{};  ///< `evaluation` of that step's line
    /// Told of every line of metrics.jsonl.
    std::function<void(std::uint64_t step, const Json& line)> on_line{};
    Processes* processes = nullptr;  ///< others of the same run; the first one writes
};

struct RunResult {
    std::uint64_t first_step = 0;  ///< > 0: the run was resumed there
    double last_loss = 0.0;
    std::uint64_t tokens = 0;  ///< of the steps taken now
    double seconds = 0.0;
};

/// Steps `trainer` from the newest saved state to the end of the schedule. On the CPU the weights
/// and metrics at the end are the same, bit for bit, however often the run was stopped or killed in
/// between, as long as the threads are as many.
///
/// A stop ends the run after the step that is being taken, or in the middle of an evaluation; a
/// state of the last whole step is saved, and an evaluation that was cut short is made when the run
/// goes on. An evaluation that fails saves a state too.
/// Errors: `cancelled` after a stop; `numerical` for a loss that is not a number, with the states
///         kept that are there; those of `Trainer::step` and of the evaluation.
RunResult run(Trainer& trainer,
              const BatchSource& source,
              TrainingFolder& folder,
              const RunSettings& settings,
              const Watch& watch = {});

}  // namespace anamnesis::train
