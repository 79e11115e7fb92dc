// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/measurement.hpp"
#include "anamnesis/reproduction/recipe.hpp"

namespace anamnesis::reproduction {

/// How far post moved from pre, ||post - pre|| / ||pre||, by part: q, k, v, o of softmax layers,
/// mixer (linear layers), mlp…
struct DriftRow {
    std::string part{};
    double relative = 0.0;
};

/// What one seed gave.
struct SeedFindings {
    std::uint64_t seed = 0;
    std::map<std::string, Measurement> measurements{};  ///< by variant
    std::vector<DriftRow> drift{};                      ///< pre to post
    std::vector<DriftRow> twin_drift{};                 ///< softmax-pre to softmax-post
    /// Gradients of the attention logits of pre, on texts of equal length.
    std::vector<analysis::ExampleRecord> cot_gradients{};
    std::vector<analysis::ExampleRecord> retrieval_gradients{};
    /// Of all parts together; one that was interrupted counts from its last start.
    double seconds = 0.0;
};

/// Makes and measures every variant of a seed in `folder`, a subfolder each. What is there already
/// is taken as it is; the run goes on where it was stopped. `threads` is not 0.
/// Errors: `usage` for a folder of another recipe; `cancelled`.
SeedFindings run_seed(const Recipe& recipe,
                      std::uint64_t seed,
                      const std::filesystem::path& folder,
                      unsigned threads,
                      const Watch& watch = {});

/// The weights of a checkpoint folder in float32.
runtime::Network load_network(const std::filesystem::path& folder);

}  // namespace anamnesis::reproduction
