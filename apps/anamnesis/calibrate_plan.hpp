// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/plan.hpp"

#include "options/common.hpp"
#include "options/fit.hpp"

namespace anamnesis::app {

/// Runs post over the texts of a command line and gives the plan its moments. As `load_model`, each
/// program links its own.
void calibrate_plan(restore::Plan& plan,
                    const FitOptions& options,
                    const CommonOptions& common,
                    const Watch& watch);

}  // namespace anamnesis::app
