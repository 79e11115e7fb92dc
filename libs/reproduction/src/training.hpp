// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/reproduction/variant.hpp"

namespace anamnesis::reproduction {

/// Trains a variant into `folder`, beside those it starts from; goes on in a run that was stopped,
/// and does nothing for one that is finished.
void train_variant(const Training& training,
                   std::uint64_t seed,
                   const std::filesystem::path& folder,
                   unsigned threads,
                   const Watch& watch);

}  // namespace anamnesis::reproduction
