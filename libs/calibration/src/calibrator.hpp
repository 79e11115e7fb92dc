// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <functional>
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

/// Tensors by their names in a checkpoint or an adapter.
using Tensors = std::map<std::string, at::Tensor>;

/// How a network predicts some texts.
struct Predictions {
    at::Tensor losses{};           ///< [predicted tokens], -ln p, float64
    std::size_t right_tokens = 0;  ///< predicted tokens with the largest logit
    std::size_t right_texts = 0;   ///< texts with nothing but right tokens
};

/// Texts of one side.
struct SideTexts {
    restore::CalibrationSide side = restore::CalibrationSide::recall;
    std::span<const language::SupervisedText> texts;
    /// Of each text, [predicted tokens], where chains are raised; empty: none.
    std::span<const at::Tensor> weights{};
};

/// Runs post, and what of pre and of repairs is needed, over calibration texts.
class Calibrator {
public:
    /// The plan must outlive it. Errors: those of `runtime::load_network`.
    Calibrator(const restore::Plan& plan, const runtime::LoadOptions& running, const Watch& watch);

    /// Errors: `mismatch` for a token outside the vocabulary, naming the text.
    void check(std::span<const language::SupervisedText> texts, std::string_view source) const;

    /// Told the moments of one side and layer after the other, and those outside the layers last.
    using TakeMoments = std::function<void(MomentSums moments)>;

    /// Takes all texts of all sides through one layer after the other, so that weights are read
    /// from the disk once: in memory are the moments of one side and layer at a time, and the
    /// streams of all texts.
    void visit(std::span<const SideTexts> sides, const TakeMoments& take) const;

    /// Moments of a side, as docs/method.md weighs its positions; of 16 texts or more, those of
    /// every eighth are also kept apart.
    MomentSums sum(restore::CalibrationSide side,
                   std::span<const language::SupervisedText> texts) const;

    /// Moments of chains with a weight [predicted tokens] for each prediction and no floor: keys
    /// and values by the attention of post.
    MomentSums sum_raised(std::span<const language::SupervisedText> chains,
                          const at::Tensor& weights) const;

    /// Of post, or with the tensors that are given in place of post's.
    Predictions predict(std::span<const language::SupervisedText> texts,
                        const Tensors& repaired = {}) const;

    /// The tensors of a repair, rounded to what the checkpoint or adapter stores or not at all.
    Tensors make_repair(const restore::MomentSource& moments, double mu, bool is_rounded) const;

private:
    /// Post with other tensors, or with other factors of its adapter.
    runtime::Network load(const Tensors& replacements, const Tensors& factors) const;
    Predictions predict_with(const runtime::Network& network,
                             std::span<const language::SupervisedText> texts) const;
    void throw_if_stopped() const;

    const restore::Plan& plan_;
    runtime::LoadOptions running_;
    at::TensorOptions factor_options_{};
    const Watch& watch_;
    std::optional<runtime::Network> post_;
    std::optional<runtime::Network> pre_;  ///< for its routing; where keys or values are fitted
};

}  // namespace anamnesis::calibration
