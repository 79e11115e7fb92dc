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

/// How a branch of a layer joins the residual stream.
struct Residual {
    checkpoint::ResidualSpec spec{};
    Norm norm{};
    Norm post_norm{};  ///< where norms are before and after
};

struct LoadedLayer {
    Mixer mixer{};
    FeedForward feed_forward{};
    Residual mixer_residual{};
    Residual feed_forward_residual{};
    bool is_parallel = false;
};

/// Takes the tensors of one layer.
LoadedLayer load_layer(const checkpoint::LayerSpec& spec, const LayerWeights& weights);

/// How many of the last of `length` tokens a layer must read so that it can tell the last `wanted`
/// and go on with the next: those alone where it mixes none, all of them where it keeps all.
std::int64_t count_needed(const LoadedLayer& layer, std::int64_t wanted, std::int64_t length);

/// Queries and keys of given inputs of the mixer. Shapes: x [B, T, d].
/// Errors: `internal` for a layer without softmax attention.
Routing route(const LoadedLayer& layer, const at::Tensor& x, const Call& call);

/// Rows of given inputs of the mixer. Shapes: x [B, T, d].
/// Errors: `internal` for a layer without latent attention.
LatentRows project_latents(const LoadedLayer& layer, const at::Tensor& x);

/// Values that a token leaves in the layer for the backward pass.
std::uint64_t count_kept_values(const LoadedLayer& layer, std::uint64_t hidden_size);

}  // namespace anamnesis::runtime
