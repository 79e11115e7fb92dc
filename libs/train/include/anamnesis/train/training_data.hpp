// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/synthetic/source.hpp"

namespace anamnesis::train {

/// What a run learns from. One of `batches`, `files` and `task`.
struct TrainingData {
    std::string batches{};                  ///< a file of ready batches
    std::vector<std::string> files{};       ///< JSON lines, in the words of the checkpoint
    std::optional<synthetic::Task> task{};  ///< samples made as they are needed, in
    std::vector<synthetic::Stage> stages{};

    bool uses_chat_template = false;
    bool learns_prompts = false;
    std::uint64_t rows = 8;    ///< of a batch
    std::uint64_t length = 0;  ///< tokens of a sample, or of a packed row; 0: no limit
    bool is_packed = false;
    std::uint64_t accumulated = 1;  ///< batches of a step
    std::uint64_t seed = 0;

    /// Rows of a second source in every step: one of a file and a task, or neither.
    struct Replay {
        std::string file{};
        std::optional<synthetic::Task> task{};
        std::uint64_t rows = 2;  ///< of each step
    };
    std::optional<Replay> replay{};
};

/// Sets what `data` learns from: files, or "synthetic:TASK" alone. Errors: `usage` for a task that
/// does not exist, and for one beside other data.
void set_sources(TrainingData& data, const std::vector<std::string>& words);
/// The second source that a word names, a file or "synthetic:TASK".
TrainingData::Replay parse_replay(const std::string& word, std::uint64_t rows);

/// What data are read for.
struct LearningModel {
    const checkpoint::Checkpoint& checkpoint;
    std::uint32_t vocabulary = 0;
};

/// The batches of a run, and how many steps they are made for.
struct Course {
    std::unique_ptr<BatchSource> source;
    std::uint64_t steps = 0;
};

/// `steps` of the course; absent: all ready batches, all stages, or one epoch of the files.
/// Errors: `usage` for 0 steps and for data that do not fit each other; `mismatch` for texts with
///         tokens outside the vocabulary; those of the files.
Course make_course(const TrainingData& data,
                   std::optional<std::uint64_t> steps,
                   const LearningModel& model);

/// As run folders remember them: "synthetic:mix" or files, "150x32x64".
std::vector<std::string> describe_data(const TrainingData& data);
std::vector<std::string> describe_stages(const TrainingData& data);
std::string describe_replay(const TrainingData::Replay& replay);

}  // namespace anamnesis::train
