// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/train/trainer.hpp"

#include "model_verbs/train_options.hpp"
#include "open_checkpoint.hpp"

namespace anamnesis::app {

/// What `--eval-every` measures after so many steps, for that step's line of metrics.jsonl:
/// percent by task and length, and reasoning.
using Evaluate = std::function<Json(std::uint64_t steps_done)>;

/// Models of the synthetic language answer its own tasks. Others are written to OUT/evaluation and
/// asked by `niah` and, with --eval-reason, `reason`, whose folders stay. Empty where nothing is
/// asked for. What it is given outlives it.
/// Errors: `unsupported` for a model of another language without tokenizer.
Evaluate evaluation_of(const TrainOptions& options,
                       const OpenedCheckpoint& opened,
                       const train::Trainer& trainer,
                       const Watch& watch);

}  // namespace anamnesis::app
