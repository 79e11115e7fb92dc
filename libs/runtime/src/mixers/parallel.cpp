// SPDX-License-Identifier: Apache-2.0
#include "mixers/parallel.hpp"

#include <cstdint>
#include <span>

namespace anamnesis::runtime {

ParallelLayer load_mixer(const checkpoint::ParallelSpec& spec, const LayerWeights& weights) {
    return {.spec = spec,
            .mamba = load_mixer(spec.mamba, weights.with_roles(checkpoint::role::mamba_prefix)),
            .attention = load_mixer(spec.attention, weights)};
}

at::Tensor mix(const ParallelLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::ParallelSpec& spec = layer.spec;
    const auto scaled = [](const at::Tensor& y, double scale) {
        return scale == 1.0 ? y : y * scale;
    };
    const at::Tensor of_mamba = mix(layer.mamba, scaled(x, spec.mamba_input_scale), call, states);
    const at::Tensor of_attention =
        mix(layer.attention, scaled(x, spec.attention_input_scale), call, states);
    return scaled(call.take_wanted(of_mamba), spec.mamba_output_scale) +
           scaled(call.take_wanted(of_attention), spec.attention_output_scale);
}

LayerState make_state(const ParallelLayer& layer, const CacheOptions& options) {
    return make_state(layer.attention, options);
}

std::uint64_t count_kept_values(const ParallelLayer& layer) {
    return count_kept_values(layer.mamba) + count_kept_values(layer.attention);
}

}  // namespace anamnesis::runtime
