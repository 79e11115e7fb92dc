// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/runtime/network.hpp"

namespace anamnesis::calibration {

/// How a network predicts one text.
struct TextPredictions {
    std::vector<double> losses{};  ///< -ln p of each predicted token
    std::size_t right = 0;         ///< predicted tokens that have the largest logit

    bool is_right() const { return right == losses.size(); }
};

/// Runs a network over texts, one at a time; logits in float64 from the type of activations.
/// Errors: `cancelled` after a stop, between texts.
std::vector<TextPredictions> predict(const runtime::Network& network,
                                     std::span<const language::SupervisedText> texts,
                                     const Watch& watch);

}  // namespace anamnesis::calibration
