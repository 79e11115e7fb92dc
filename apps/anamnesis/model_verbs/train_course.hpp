// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "anamnesis/train/batch.hpp"

#include "model_verbs/train_options.hpp"
#include "open_checkpoint.hpp"

namespace anamnesis::app {

/// What is trained on, and for how long.
struct Course {
    std::unique_ptr<train::BatchSource> source;
    std::uint64_t steps = 0;
};

/// True for `--data synthetic:TASK`.
bool is_synthetic(const TrainOptions& options);

/// Errors: `usage` for options that do not fit each other; those of the files.
Course course_of(const TrainOptions& options, const OpenedCheckpoint& opened);

}  // namespace anamnesis::app
