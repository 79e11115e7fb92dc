// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>
#include <span>

#include "layer_weights.hpp"
#include "linear.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

/// What makes of token ids what goes into the layers.
struct TokenEmbedding {
    Linear tokens{};         ///< [vocabulary, d]
    at::Tensor positions{};  ///< [positions, d], learned; or undefined
    std::optional<Norm> norm{};
    double scale = 1.0;  ///< of the tokens' rows
    at::Device device = at::kCPU;
    at::ScalarType type = at::kFloat;
};

TokenEmbedding load_embedding(PlannedWeights& weights, at::Device device);

/// Errors: `exhausted` beyond the table of learned positions.
/// Shapes: ids [B, T], of sequences whose first token is at `starts`, or of one packed row, whose
/// positions start anew at each of its boundaries -> [B, T, d].
at::Tensor embed(const TokenEmbedding& embedding,
                 const at::Tensor& ids,
                 std::span<const std::int64_t> starts,
                 std::span<const std::int64_t> boundaries);

}  // namespace anamnesis::runtime
