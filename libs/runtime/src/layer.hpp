// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "anamnesis/checkpoint/blueprint.hpp"

#include "feed_forwards/feed_forwards.hpp"
#include "layer_weights.hpp"
#include "mixers/mixers.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {

struct Layer {
    Mixer mixer;
    FeedForward feed_forward;
    RmsNorm mixer_norm;
    RmsNorm feed_forward_norm;
    checkpoint::NormPlacement norms = checkpoint::NormPlacement::before;
};

/// Takes the tensors of one layer.
Layer load_layer(const checkpoint::LayerSpec& spec, const LayerWeights& weights);

/// Values that a token leaves in the layer for the backward pass.
std::uint64_t count_kept_values(const Layer& layer, std::uint64_t hidden_size);

}  // namespace anamnesis::runtime
