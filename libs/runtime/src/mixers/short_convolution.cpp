// SPDX-License-Identifier: Apache-2.0
#include "mixers/short_convolution.hpp"

#include <cstdint>
#include <span>

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "convolution.hpp"
#include "recurrent_parts.hpp"

namespace anamnesis::runtime {

namespace role = checkpoint::role;

ShortConvolutionLayer load_mixer(const checkpoint::ShortConvolutionSpec& spec,
                                 const LayerWeights& weights) {
    ShortConvolutionLayer layer{.spec = spec,
                                .in_proj = weights.linear(role::gates_and_input),
                                .out_proj = weights.linear(role::output),
                                .kernel = weights.tensor(role::kernel)};
    if (spec.has_bias) {
        layer.bias = weights.tensor(role::kernel_bias);
    }
    return layer;
}

at::Tensor gate_and_convolve(const ShortConvolutionLayer& layer,
                             const at::Tensor& projected,
                             at::Tensor& past) {
    const std::int64_t width = projected.size(-1) / 3;
    const auto part = [&](std::int64_t i) { return projected.narrow(-1, i * width, width); };
    const ConvolutionResult convolved = convolve(part(0) * part(2), layer.kernel.squeeze(1), past);
    past = convolved.past;
    return part(1) * (layer.bias.defined() ? convolved.output + layer.bias : convolved.output);
}

at::Tensor mix(const ShortConvolutionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    at::Tensor past = gather(states, &LayerState::past);
    const at::Tensor mixed = gate_and_convolve(layer, apply(layer.in_proj, x), past);
    scatter(past, states, &LayerState::past);
    return apply(layer.out_proj, call.take_wanted(mixed));
}

LayerState make_state(const ShortConvolutionLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const ShortConvolutionLayer& layer) {
    const auto width = static_cast<std::uint64_t>(layer.kernel.size(0));
    return (6 + std::uint64_t{layer.spec.taps}) * width;
}

}  // namespace anamnesis::runtime
