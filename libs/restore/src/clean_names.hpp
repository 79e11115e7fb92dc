// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// How a weight file of the output begins where its tensors get other names.
struct RenamedFile {
    std::string header{};    ///< everything before the first tensor; empty: as in post's file
    std::int64_t shift = 0;  ///< bytes by which the tensors lie further back than in post's file
};

/// The names of post's tensors, in order, in an output with clean names: that of the counterpart
/// where pre is of the same class and has a clean name itself, else the name without wrappers.
std::vector<std::string> choose_clean_names(const Plan& plan);

/// One for each file of post, in order.
/// Errors: `usage` where two tensors would get one name.
std::vector<RenamedFile> rename_files(const Plan& plan);

}  // namespace anamnesis::restore
