// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
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

/// Listens to forward passes of post and adds to the moments that a plan needs of one side. Texts
/// pass in steps, so that all may pass one layer before the next.
class TextSums {
public:
    /// `pre` gives the routing over recall texts, and is not read for chains.
    TextSums(const restore::Plan& plan,
             const runtime::Network& post,
             const runtime::Network* pre,
             restore::CalibrationSide side);

    /// The stream of a text before the first layer, after one, and what is read after the last.
    /// `weights` [P] is a weight for each predicting position, where chains are raised; undefined
    /// otherwise. Shapes: stream [1, T, d].
    at::Tensor enter(const language::SupervisedText& text, const at::Tensor& weights);
    at::Tensor pass(LayerIndex layer,
                    const language::SupervisedText& text,
                    const at::Tensor& weights,
                    const at::Tensor& stream);
    void leave(const language::SupervisedText& text,
               const at::Tensor& weights,
               const at::Tensor& stream);

    /// Layers that have to be passed.
    std::size_t count_layers() const;

    /// What was added since the last time.
    MomentSums take();

private:
    using Place = std::pair<std::optional<LayerIndex>, std::string>;

    void begin(const language::SupervisedText& text, const at::Tensor& weights);
    bool wants(const Place& place) const { return parts_.contains(place); }
    bool is_recall() const { return side_ == restore::CalibrationSide::recall; }
    restore::MomentKey make_key(const Place& place) const {
        return {.part = place.second, .side = side_, .layer = place.first};
    }
    void add_rows(const Place& place, const at::Tensor& rows, const at::Tensor& weights);
    void add_at_positions(const Place& place, const at::Tensor& input);
    void hear_input(const runtime::MatrixInput& input);
    void hear_expert(const runtime::MatrixInput& input);
    void add_latent_queries(LayerIndex layer, const at::Tensor& rows);
    void add_latent_keys(LayerIndex layer, const at::Tensor& received, bool is_raised);
    void hear_attention(LayerIndex layer, const runtime::AttentionValues& values);

    const runtime::Network& post_;
    const runtime::Network* pre_;
    restore::CalibrationSide side_;
    std::map<Place, MomentShape> parts_;
    MomentSums sums_;

    // Of the text that is read now.
    at::Tensor positions_;
    at::Tensor numbers_;  ///< [T]: the number of a position among those that predict, or -1
    at::Tensor weights_;  ///< [P, 1] or undefined
    at::Tensor input_;    ///< of the softmax layer that is computed
    at::Tensor latent_;   ///< that keys and values of this layer are made of, where there is one
    std::optional<LayerIndex> reads_latents_at_;  ///< the layer, if its queries are made of latents
};

}  // namespace anamnesis::calibration
