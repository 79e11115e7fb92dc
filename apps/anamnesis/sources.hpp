// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "options.hpp"

namespace anamnesis::app {

/// Opens and recognises a checkpoint; `role` ("pre", "post") opens the context of errors.
restore::Source open_source(const std::string& path,
                            const ReadingOptions& options,
                            const std::string& role);

/// The same for looking only: what is missing becomes a warning.
restore::Source open_source_for_reading(const std::string& path, const ReadingOptions& options);

/// The request that the words of the command line mean. Errors: `usage`.
restore::Request request_of(const SelectionOptions& options);

restore::Execution execution_of(const CommonOptions& options, const Watch& watch);

}  // namespace anamnesis::app
