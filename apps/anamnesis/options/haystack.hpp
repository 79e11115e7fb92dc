// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/eval/ruler/haystack_plan.hpp"

namespace anamnesis::app {

/// Options that say which needle-in-a-haystack prompts are made.
void declare_haystack(CLI::App& app, eval::HaystackPlan& plan);

}  // namespace anamnesis::app
