// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::dissection {

/// A repair that is held against what was found.
struct Method {
    std::string name{};
    restore::Request request{};
};

/// qk, pro, fit, and lerp of all weights and of the groups that were found.
std::vector<Method> list_methods(const std::set<checkpoint::TensorGroup>& found);

/// The commands that make a repair on disk, one for each request: each goes on from the output of
/// the one before.
std::vector<std::string> list_commands(const checkpoint::RecognisedCheckpoint& pre,
                                       const checkpoint::RecognisedCheckpoint& post,
                                       const std::vector<restore::Request>& requests);

}  // namespace anamnesis::dissection
