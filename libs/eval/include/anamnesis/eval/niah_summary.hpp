// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/niah.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {

/// All answers of one checkpoint to one task at one length (and one depth, where depths are told
/// apart). Shares are of `count`.
struct NiahCell {
    std::string checkpoint;
    std::string task;
    std::size_t length = 0;
    std::optional<std::uint32_t> depth{};
    std::size_t count = 0;
    /// Of the prompts, as far as the engine tells: RULER's steps leave some far below `length`.
    std::size_t fewest_tokens = 0;
    std::size_t most_tokens = 0;
    double score = 0.0;
    /// Wilson's, where every score is 0 or 1; else of the mean by bootstrap.
    Interval interval{};
    double first_exact = 0.0;
    double wrong_needle = 0.0;
    double empty = 0.0;
    double degenerate = 0.0;
    double truncated = 0.0;
    double unfinished = 0.0;
    std::optional<double> logprob{};  ///< mean, where every answer has one
};

/// Two checkpoints on the same samples.
struct NiahComparison {
    std::string first;
    std::string second;
    std::string task;
    std::size_t length = 0;
    std::size_t pairs = 0;
    double difference = 0.0;     ///< second - first
    Interval interval{};         ///< by bootstrap over samples
    std::size_t only_first = 0;  ///< samples that the first alone gets wholly right
    std::size_t only_second = 0;
    double p_value = 1.0;  ///< McNemar's exact test
};

/// What a repair won back of what was lost, on the same samples.
struct NiahRecovery {
    std::string repaired;
    std::string task;
    std::size_t length = 0;
    std::size_t samples = 0;
    RecoveredShare share{};
};

struct NiahSummary {
    std::vector<std::string> checkpoints;  ///< in the order of their first answer
    std::vector<std::string> tasks;
    std::vector<std::size_t> lengths;  ///< ascending
    std::vector<std::uint32_t> depths;
    std::vector<NiahCell> cells;        ///< by checkpoint, task, length
    std::vector<NiahCell> depth_cells;  ///< by checkpoint, length, depth, over all tasks
    std::vector<NiahComparison> comparisons;
    std::vector<NiahRecovery> recoveries;
};

/// Where needles were put: at a few depths evenly, or at random, which ten bins then gather.
enum class Depths : std::uint8_t { even, random };

/// Folds answers to figures.
NiahSummary summarise(std::span<const NiahResult> results,
                      const CheckpointRoles& roles,
                      Depths depths);

/// Tokens of prompts, from the shortest to the longest; both 0 where no engine told.
struct TokenRange {
    std::size_t fewest = 0;
    std::size_t most = 0;
};
/// Of one task at one length, over all checkpoints.
TokenRange find_token_range(const NiahSummary& summary,
                            const std::string& task,
                            std::size_t length);
/// "280 to 312"; empty where nothing is known.
std::string describe_tokens(const TokenRange& range);

/// The checkpoints in the order of their first answer.
std::vector<std::string> list_checkpoints(std::span<const NiahResult> results);

}  // namespace anamnesis::eval
