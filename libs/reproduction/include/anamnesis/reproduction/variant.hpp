// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/reproduction/recipe.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::reproduction {

/// A checkpoint that is trained.
struct Training {
    const Json* config = nullptr;  ///< random weights of this model; null: go on from `start`
    std::string start{};
    const Course* course = nullptr;
    std::string frozen{};  ///< a selection of `train --freeze`; empty: all learn
};

/// A checkpoint that is made of two others.
struct Repair {
    std::string pre{};
    std::string post{};
    restore::Request request{};
};

/// One checkpoint of the reproduction, named as its folder.
struct Variant {
    std::string name{};
    std::string description{};
    std::optional<Training> training{};
    std::optional<Repair> repair{};
};

/// pre; post, fine-tuned on chains of thought; the controls instruct (fine-tuned without them) and
/// frozen (W_Q and W_K frozen); repairs of post: qk, pro at each lambda, lerp, fit, refit,
/// fit-qkvo, refit-qkvo, qkvo, q, k, v; and softmax-pre, softmax-post, softmax-qk, the twin without
/// linear layers. Each stands behind what it is made of. The recipe must outlive them.
std::vector<Variant> make_variants(const Recipe& recipe);

inline constexpr const char* fit_name = "fit";

/// "pro-1" for a lambda of 1.
std::string pro_name(double lambda);

}  // namespace anamnesis::reproduction
