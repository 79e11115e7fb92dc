// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "options.hpp"

namespace anamnesis::app {

/// One generator for each task, length and depth that the command line asks for, tasks innermost.
std::vector<eval::NiahOptions> generators_of(const HaystackOptions& options);

/// The tokenizer must outlive it.
eval::NiahMaterials materials_of(const HaystackOptions& options,
                                 const language::Tokenizer& tokenizer);

}  // namespace anamnesis::app
