// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/comparison.hpp"

namespace anamnesis::reproduction {

/// The page of a demo.
std::filesystem::path find_demo_page(const std::filesystem::path& folder);

/// Asks the checkpoints of a demo's folder (pre, post, and the repaired qk, pro and fit) `samples`
/// questions of each needle and length and as many problems, and writes the page.
/// Errors: those of `run_probe` and `report::write_page`.
std::vector<NamedMeasurement> report_demo(const std::filesystem::path& folder,
                                          std::size_t samples,
                                          unsigned threads,
                                          const Watch& watch);

}  // namespace anamnesis::reproduction
