// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/train/fine_tune.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"

#include "options/common.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

/// A training run: what options say as it is, and words that are still to be read.
struct TrainOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    train::FineTuneJob job{.adamw = {.weight_decay = 0.0},
                           .evaluation = {.lengths = {128, 256, 512}}};
    std::string init{};  ///< a config.json, instead of a checkpoint
    train::Initialiser initialiser = train::Initialiser::range;
    std::vector<std::string> data{};
    std::vector<std::string> stages{};  ///< of synthetic data: STEPSxROWSxLENGTH
    std::vector<double> betas = {0.9, 0.95};
    std::string dtype = "f32";
    std::string replay{};           ///< a file, or synthetic:TASK
    std::uint64_t replay_rows = 2;  ///< of each step
    std::string evaluated_task{};   ///< of `reason`; empty: none
    std::string evaluated_data{};
    std::string lora{};
};

void declare_train(CLI::App& app, TrainOptions& options);

}  // namespace anamnesis::app
