// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"

#include "calibrator.hpp"
#include "moment_sums.hpp"

namespace anamnesis::calibration {

/// Weights of predictions, raised where a repair predicts worse than post:
///     weights + min(50, excess / max(mean excess, 1e-4)),   excess = max(0, loss - loss of post).
/// Shapes: all [predicted tokens], float64.
at::Tensor raise_weights(const at::Tensor& weights,
                         const at::Tensor& losses,
                         const at::Tensor& losses_of_post);

/// Moments after `rounds` of raising the weights of chains that a repair with `mu` made worse.
/// `weights` takes the weights of each round, divided by their mean, where it is not null.
/// Source: docs/method.md, "Fit".
std::shared_ptr<const restore::MomentSet> refit(const Calibrator& calibrator,
                                                const MomentSums& first,
                                                std::span<const language::SupervisedText> chains,
                                                double mu,
                                                std::uint32_t rounds,
                                                std::vector<at::Tensor>* weights = nullptr);

}  // namespace anamnesis::calibration
