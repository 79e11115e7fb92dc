// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/findings.hpp"
#include "anamnesis/reproduction/recipe.hpp"

namespace anamnesis::reproduction {

/// The finding from end to end, in `folder`/seed-N for every seed.
struct ReproductionJob {
    Recipe recipe{};
    std::vector<std::uint64_t> seeds{};
    std::filesystem::path folder{};
    unsigned threads = 0;  ///< 0: every core this process may use
};

/// Runs what has no result yet, and writes report.html, summary.md and summary.json.
/// Errors: those of `run_seed`; `usage` for a seed that is given twice, and for a folder that is
///         neither new nor one of an earlier call.
Findings run_reproduction(const ReproductionJob& job, const Watch& watch = {});

}  // namespace anamnesis::reproduction
