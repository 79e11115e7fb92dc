// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/dissection/dissect.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::dissection {

/// Weights of pre that are put into post together.
struct Arm {
    std::string name{};
    std::string group{};
    std::optional<std::uint32_t> layer{};
    restore::Request request{};
};

/// Every candidate of a depth, groups in their usual order and layers ascending.
std::vector<Arm> list_arms(const checkpoint::RecognisedCheckpoint& post, Depth depth);

/// The options of `restore` that ask for it in post: "--groups mlp --layers 3".
std::string describe_options(const restore::Request& request,
                             const checkpoint::RecognisedCheckpoint& post);

}  // namespace anamnesis::dissection
