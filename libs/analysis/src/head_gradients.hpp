// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>
#include <vector>

#include "anamnesis/analysis/logit_gradients.hpp"

namespace anamnesis::analysis {

/// One softmax layer of one text, and the gradient of what it mixed. Without gradients.
struct LayerPass {
    at::Tensor q;           ///< [heads, T, D]
    at::Tensor k;           ///< [kv_heads, T, D]
    at::Tensor v;           ///< [kv_heads, T, D]
    at::Tensor mixed_grad;  ///< [heads, T, D]
    std::int64_t window = 0;
    std::optional<double> softcap{};
};

/// What a later look at the same logits needs, so that it may visit some pairs alone.
struct RowTotals {
    at::Tensor log_sum;      ///< [heads, T, 1] log sum exp of a query's logits
    at::Tensor mean_change;  ///< [heads, T, 1] the weighted mean of dL/dw over a query's keys
};

/// Fills sums and counts of `result`, whose vectors have their sizes.
/// dL/ds = w (dL/dw - sum w dL/dw) with dL/dw = dL/dmixed v^T, a block of rows at a time; times
/// the slope of a softcap, so that s is the scaled product.
RowTotals sum_logit_gradients(const LayerPass& pass,
                              const std::vector<bool>& predicting,
                              LayerGradients& result);

/// The share of one distance band in the gradients of q, k and v, and in what was mixed.
struct BandShare {
    at::Tensor q_grad;  ///< [heads, T, D]
    at::Tensor k_grad;  ///< [kv_heads, T, D]
    at::Tensor v_grad;  ///< [kv_heads, T, D]
    at::Tensor mixed;   ///< [heads, T, D]
};

BandShare compute_band_share(const DistanceBand& band,
                             const LayerPass& pass,
                             const RowTotals& totals);

}  // namespace anamnesis::analysis
