// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "options/common.hpp"
#include "options/fit.hpp"

namespace anamnesis::app {

/// Gives a plan of `fit` its moments: from texts, which post runs over, or from the folder of an
/// earlier calibration. With texts and a folder they are stored there.
/// Errors: those of the calibration; `not_found` for a folder without moments; `mismatch` for
/// moments of another pair; `usage` for texts and a folder that has moments already.
void provide_moments(restore::Plan& plan,
                     const FitOptions& options,
                     const CommonOptions& common,
                     const Watch& watch);

/// The file that holds the moments of a repair with one mu; a path that is no folder itself.
std::filesystem::path find_moments(const std::filesystem::path& path,
                                   const restore::FitSettings& fit);

}  // namespace anamnesis::app
