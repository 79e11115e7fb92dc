// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

#include "linear.hpp"

namespace anamnesis::runtime {

/// Chooses the experts of every token.
struct Router {
    checkpoint::RouterSpec spec{};
    std::int64_t experts_per_token = 0;
    Linear logits{};
    at::Tensor correction{};  ///< [experts], where scores are corrected
};

struct Choice {
    at::Tensor experts{};  ///< [tokens, experts_per_token] int64
    at::Tensor weights{};  ///< [tokens, experts_per_token]
};

/// Shapes: tokens [tokens, d].
Choice choose_experts(const Router& router, const at::Tensor& tokens);

}  // namespace anamnesis::runtime
