// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"

#include "options/common.hpp"

namespace anamnesis::app {

/// How the jobs of `restore` run: with the threads of the command line, under its watch.
restore::Execution make_execution(const CommonOptions& options, const Watch& watch);

}  // namespace anamnesis::app
