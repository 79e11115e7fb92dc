// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/eval/checkpoint_roles.hpp"
#include "anamnesis/eval/reason.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {

/// All answers of one checkpoint. Problems are the clusters of every interval.
struct ReasonCell {
    std::string checkpoint;
    std::size_t problems = 0;
    std::size_t samples = 0;                             ///< really generated
    std::size_t fewest = 0;                              ///< samples of the problem that has fewest
    ClusteredMean average{};                             ///< avg@k
    Interval interval{};                                 ///< of avg@k, within [0, 1]
    std::vector<std::pair<std::size_t, double>> pass{};  ///< pass@k for k = 1, 2, 4, … fewest
    double majority = 0.0;   ///< maj@k: ties go to the class whose first vote came earliest
    double truncated = 0.0;  ///< shares of answers
    double unfinished = 0.0;
    double without_answer = 0.0;
    double undecided = 0.0;
    double mean_tokens = 0.0;
};

/// Two checkpoints on the same problems.
struct ReasonComparison {
    std::string first;
    std::string second;
    std::size_t problems = 0;
    PairedDifference difference{};  ///< second - first
    Interval bootstrap{};
};

struct ReasonSummary {
    std::vector<ReasonCell> cells;
    std::vector<ReasonComparison> comparisons;
};

/// Folds answers to figures.
ReasonSummary summarise(std::span<const ReasonResult> results, const CheckpointRoles& roles);

}  // namespace anamnesis::eval
