// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>

namespace anamnesis::runtime {

/// What makes logits of hidden rows: scale * (hidden weight^T + bias), and c tanh(that / c) with a
/// softcap c.
struct LogitHead {
    at::Tensor weight{};  ///< [classes, d], in the type it is stored in
    at::Tensor bias{};    ///< [classes] in the type of `hidden`, or undefined
    double scale = 1.0;
    std::optional<double> softcap{};
    bool rounds_in_training = false;  ///< factors, to a bfloat16 weight's type
};

/// sum_i weights[i] * (log sum_c exp(logits[i][c]) - logits[i][targets[i]]) in float64, of the
/// logits that the head makes of `hidden`; differentiable once, by `hidden` and the head's weight
/// and bias. A piece of the rows has logits at a time, in whose place their gradient is made:
/// memory beside both gradients does not grow with the rows. Shapes: hidden [n, d], targets [n]
/// int64, each below classes, weights [n] or undefined (all 1). Source: the idea is that of Hsu et
/// al. 2024, "Liger Kernel" (FusedLinearCrossEntropy).
at::Tensor summed_cross_entropy(const at::Tensor& hidden,
                                const LogitHead& head,
                                const at::Tensor& targets,
                                const at::Tensor& weights);

/// Values that are there at once on the way to the loss of `rows` rows: the logits of a piece, and
/// a piece's part of the weight's gradient.
std::uint64_t count_loss_values(std::uint64_t rows, std::uint64_t classes, std::uint64_t width);

}  // namespace anamnesis::runtime
