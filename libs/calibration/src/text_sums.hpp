// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/index.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/network.hpp"

#include "moment_sums.hpp"

namespace anamnesis::calibration {

/// Tokens as a batch of one. [1, T].
at::Tensor to_tensor(const language::SupervisedText& text);

/// Positions t whose next token is predicted, ascending. [P].
at::Tensor find_predicting(const language::SupervisedText& text);

/// Listens to forward passes of post and adds to the moments that a plan needs of one side.
class TextSums {
public:
    /// `pre` gives the routing over recall texts, and is not read for chains.
    TextSums(const restore::Plan& plan,
             const runtime::Network& post,
             const runtime::Network* pre,
             restore::CalibrationSide side);

    /// Runs post over a text. `weights` [P] is a weight for each predicting position, where chains
    /// are raised; undefined otherwise.
    void add(const language::SupervisedText& text, const at::Tensor& weights);

    MomentSums take() { return std::move(sums_); }

private:
    using Place = std::pair<std::optional<LayerIndex>, std::string>;

    bool wants(const Place& place) const { return parts_.contains(place); }
    void add_rows(const Place& place, const at::Tensor& rows, const at::Tensor& weights);
    void add_at_positions(const Place& place, const at::Tensor& input);
    void hear_input(LayerIndex layer, std::string_view role, const at::Tensor& input);
    void hear_attention(LayerIndex layer, const runtime::AttentionValues& values);

    const runtime::Network& post_;
    const runtime::Network* pre_;
    restore::CalibrationSide side_;
    std::map<Place, bool> parts_;  ///< and whether their inputs are followed by 1
    MomentSums sums_;

    // Of the text that is read now.
    at::Tensor positions_;
    at::Tensor weights_;  ///< [P, 1] or undefined
    at::Tensor input_;    ///< of the softmax layer that is computed
};

}  // namespace anamnesis::calibration
