// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "moment_sums.hpp"

namespace anamnesis::calibration {

/// How a network predicts some texts.
struct Predictions {
    at::Tensor losses{};           ///< [predicted tokens], -ln p, float64
    std::size_t right_tokens = 0;  ///< predicted tokens with the largest logit
    std::size_t right_texts = 0;   ///< texts with nothing but right tokens
};

/// Runs post, and what of pre and of repairs is needed, over calibration texts.
class Calibrator {
public:
    /// The plan must outlive it. Errors: those of `runtime::load_network`.
    Calibrator(const restore::Plan& plan, const runtime::LoadOptions& running, const Watch& watch);

    /// Errors: `mismatch` for a token outside the vocabulary, naming the text.
    void check(std::span<const language::SupervisedText> texts, std::string_view source) const;

    /// Moments of a side, as docs/method.md weighs its positions.
    MomentSums sum(restore::CalibrationSide side,
                   std::span<const language::SupervisedText> texts) const;

    /// Moments of chains with a weight [predicted tokens] for each prediction and no floor: keys
    /// and values by the attention of post.
    MomentSums sum_raised(std::span<const language::SupervisedText> chains,
                          const at::Tensor& weights) const;

    /// Of post, or with the tensors that are given in place of post's.
    Predictions predict(std::span<const language::SupervisedText> texts,
                        const std::map<std::string, at::Tensor>& repaired = {}) const;

    /// The tensors of a repair, rounded to what the checkpoint stores or not at all.
    std::map<std::string, at::Tensor> make_repair(const restore::MomentSource& moments,
                                                  double mu,
                                                  bool is_rounded) const;

private:
    Predictions predict_with(const runtime::Network& network,
                             std::span<const language::SupervisedText> texts) const;
    void throw_if_stopped() const;

    const restore::Plan& plan_;
    runtime::LoadOptions running_;
    const Watch& watch_;
    std::optional<runtime::Network> post_;
    std::optional<runtime::Network> pre_;  ///< for its routing; where keys or values are fitted
};

}  // namespace anamnesis::calibration
