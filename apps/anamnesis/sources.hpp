// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "options/common.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

/// Opens and recognises a checkpoint.
restore::Source open_source(const std::string& path, const ReadingOptions& options);

/// The same for looking only: what is missing becomes a warning.
restore::Source open_source_for_reading(const std::string& path, const ReadingOptions& options);

restore::Execution make_execution(const CommonOptions& options, const Watch& watch);

}  // namespace anamnesis::app
