// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "anamnesis/eval/ruler/niah_generator.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "options.hpp"

namespace anamnesis::app {

/// The lengths that words like 4096, 4k, 128K and 4k..256k (every doubling) mean.
/// Errors: `usage`.
std::vector<std::size_t> lengths_of(const std::vector<std::string>& words);

/// One generator for each task, length and depth that the command line asks for, tasks innermost.
std::vector<eval::NiahOptions> generators_of(const HaystackOptions& options);

/// The tokenizer must outlive it.
eval::NiahMaterials materials_of(const HaystackOptions& options,
                                 const language::Tokenizer& tokenizer);

}  // namespace anamnesis::app
