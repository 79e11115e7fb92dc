// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>

#include "anamnesis/base/json.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/run_folder.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/trainer.hpp"

namespace anamnesis::train {

struct RunSettings {
    Schedule schedule{};
    std::uint64_t save_every = 0;  ///< steps between states to resume from; 0: none
    /// Told of every step, with its line of metrics.jsonl.
    std::function<void(std::uint64_t step, const StepFigures& figures, const Json& line)>
        observer{};
    /// Evaluates now and then: called behind step N, 2 N, … in the first process; what it gives
    /// goes into that step's line of metrics.jsonl.
    std::uint64_t evaluate_every = 0;
    std::function<Json(std::uint64_t steps_done)> evaluate{};
    std::stop_token cancel{};
    Processes* processes = nullptr;  ///< others of the same run; the first one writes
};

struct RunResult {
    std::uint64_t first_step = 0;  ///< > 0: the run was resumed there
    double last_loss = 0.0;
    std::uint64_t tokens = 0;
    double seconds = 0.0;
};

/// Steps `trainer` from the newest saved state to the end of the schedule. On the CPU the weights
/// at the end are the same, bit for bit, however often the run was killed in between, as long as
/// the threads are as many.
/// Errors: `cancelled`, with a state saved behind the last step; those of `Trainer::step`.
RunResult run(Trainer& trainer,
              const BatchSource& source,
              RunFolder& folder,
              const RunSettings& settings);

}  // namespace anamnesis::train
