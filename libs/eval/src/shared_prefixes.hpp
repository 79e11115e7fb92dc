// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {

/// How many tokens two sequences begin with in common.
std::size_t common_prefix(std::span<const language::TokenId> a,
                          std::span<const language::TokenId> b);

/// Where the first of some sorted sequences is left by later ones: `common[j]` tokens are shared by
/// sequences j and j + 1. The places are multiples of `grain` above `known`, ascending, at most
/// `most`; those nearest to the place before them are given up first.
std::vector<std::size_t> branch_places(std::span<const std::size_t> common,
                                       std::size_t known,
                                       std::size_t grain,
                                       std::size_t most);

}  // namespace anamnesis::eval
