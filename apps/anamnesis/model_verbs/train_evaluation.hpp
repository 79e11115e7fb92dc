// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "anamnesis/base/json.hpp"
#include "anamnesis/runtime/network.hpp"

#include "options.hpp"

namespace anamnesis::app {

/// What `--eval-every` measures of a model of the synthetic language while it learns: recall in
/// percent by task and length, and whole chains of thought. The network outlives the function.
/// Errors: `unsupported` for a model of another vocabulary.
std::function<Json()> evaluation_of(const TrainOptions& options, const runtime::Network& network);

}  // namespace anamnesis::app
