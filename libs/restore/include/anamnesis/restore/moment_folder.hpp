// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// The file of a folder that holds the moments of a repair with one mu (without rounds, of every
/// mu); a path that is no folder itself.
std::filesystem::path find_moments(const std::filesystem::path& path, const FitSettings& fit);

/// Gives a plan of `fit` the moments of an earlier calibration, and what it says of its texts.
/// Errors: `not_found` for a mu that was not calibrated; `mismatch` for moments of another pair.
void read_moment_folder(Plan& plan, const std::filesystem::path& folder);

/// Errors: `usage` where the folder has moments for an output of the plan already, or is a
///         checkpoint's.
void refuse_used_moment_folder(const Plan& plan, const std::filesystem::path& folder);

/// Stores the moments of a plan that was calibrated. Errors: as `refuse_used_moment_folder`.
void write_moment_folder(const Plan& plan, const std::filesystem::path& folder);

}  // namespace anamnesis::restore
