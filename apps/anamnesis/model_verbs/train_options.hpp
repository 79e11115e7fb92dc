// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/schedule.hpp"

#include "options/common.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

/// A training run.
struct TrainOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    std::string init{};  ///< a config.json, instead of a checkpoint
    train::Initialiser initialiser = train::Initialiser::range;
    std::string batches{};
    std::vector<std::string> data{};
    std::vector<std::string> stages{};  ///< of synthetic data: STEPSxROWSxLENGTH
    std::string out{};
    bool chat = false;
    bool learns_prompts = false;
    std::uint64_t batch_size = 8;
    std::uint64_t length = 0;  ///< 0: no limit
    bool is_packed = false;
    std::uint64_t accumulated = 1;
    bool recomputes_layers = false;
    std::uint64_t seed = 0;
    std::optional<std::uint64_t> steps{};
    double learning_rate = 1e-4;
    train::Decay decay = train::Decay::cosine;
    std::uint64_t warmup = 0;
    double min_lr_ratio = 0.0;
    std::vector<double> betas = {0.9, 0.95};
    double eps = 1e-8;
    double weight_decay = 0.0;
    double clip = 1.0;  ///< 0: no clipping
    std::string dtype = "f32";
    std::string device = "cpu";
    std::uint64_t save_every = 0;
    std::string replay{};           ///< a file, or synthetic:TASK
    std::uint64_t replay_rows = 2;  ///< of each step
    std::uint64_t evaluate_every = 0;
    std::vector<std::uint64_t> evaluated_lengths = {128, 256, 512};
    std::uint64_t evaluated_samples = 50;
    std::string evaluated_task{};  ///< of `reason`; empty: none
    std::string evaluated_data{};
    bool tensorboard = false;
    std::vector<std::string> frozen{};
    std::vector<std::string> rates{};
    std::vector<std::string> anchors{};
    std::string lora;
};

void declare_train(CLI::App& app, TrainOptions& options);

}  // namespace anamnesis::app
