// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/mixers.hpp"

#include "layer_call.hpp"
#include "layer_weights.hpp"

namespace anamnesis::runtime {

/// Of a layer that has a feed-forward alone.
struct NoMixerLayer {};

inline NoMixerLayer load_mixer(const checkpoint::NoMixer& /*spec*/,
                               const LayerWeights& /*weights*/) {
    return {};
}

/// What is added to the stream: nothing.
inline at::Tensor mix(const NoMixerLayer& /*layer*/,
                      const at::Tensor& /*x*/,
                      const Call& /*call*/,
                      std::span<LayerState* const> /*states*/) {
    return {};
}

inline LayerState make_state(const NoMixerLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

inline std::uint64_t count_kept_values(const NoMixerLayer& /*layer*/) {
    return 0;
}

}  // namespace anamnesis::runtime
