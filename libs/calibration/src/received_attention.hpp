// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>

#include "anamnesis/runtime/network.hpp"

namespace anamnesis::calibration {

/// What a layer's softmax knows beside queries and keys.
struct SoftmaxRules {
    std::optional<std::uint32_t> window{};
    at::Tensor sinks{};  ///< [heads], or undefined
    std::optional<double> softcap{};
    at::Tensor slopes{};  ///< [heads], what a logit loses a token, or undefined
};

/// The attention that each token of a text receives from some of its positions,
///
///     w_s = sum over positions t and query heads h of the group: omega_t p_hts,
///
/// with p the causal softmax of the routing, in which sinks take their weight. Memory does not grow
/// with the text but for the result and a block of logits. Shapes: routing of one text of T tokens;
/// positions [P] int64, weights [P] or undefined (all 1) -> [T, kv_heads]
/// float64.
at::Tensor sum_received_attention(const runtime::Routing& routing,
                                  const at::Tensor& positions,
                                  const at::Tensor& weights,
                                  const SoftmaxRules& rules = {});

}  // namespace anamnesis::calibration
