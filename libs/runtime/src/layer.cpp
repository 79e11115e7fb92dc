// SPDX-License-Identifier: Apache-2.0
#include "layer.hpp"

#include <cstdint>
#include <type_traits>
#include <variant>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::runtime {
namespace {

Mixer load_any(const checkpoint::MixerSpec& spec, const LayerWeights& weights) {
    return std::visit(
        [&](const auto& one) -> Mixer {
            if constexpr (std::is_same_v<std::decay_t<decltype(one)>, checkpoint::UnknownMixer>) {
                throw Error(ErrorKind::unsupported, "a layer's mixer is not known");
            } else {
                return load_mixer(one, weights);
            }
        },
        spec);
}

FeedForward load_any(const checkpoint::FeedForwardSpec& spec, const LayerWeights& weights) {
    return std::visit(
        [&](const auto& one) -> FeedForward {
            if constexpr (std::is_same_v<std::decay_t<decltype(one)>,
                                         checkpoint::UnknownFeedForward>) {
                throw Error(ErrorKind::unsupported, "a layer's feed-forward is not known");
            } else {
                return load_feed_forward(one, weights);
            }
        },
        spec);
}

template <class Part>
std::uint64_t count_kept_values_of_any(const Part& part) {
    return std::visit([](const auto& one) { return count_kept_values(one); }, part);
}

}  // namespace

Layer load_layer(const checkpoint::LayerSpec& spec, const LayerWeights& weights) {
    const checkpoint::Blueprint& blueprint = weights.blueprint();
    const auto norm = [&](std::string_view role) {
        return weights.norm(role, blueprint.norm_eps, blueprint.gain);
    };
    return {.mixer = load_any(spec.mixer, weights),
            .feed_forward = load_any(spec.feed_forward, weights),
            .mixer_norm = norm(checkpoint::role::mixer_norm),
            .feed_forward_norm = norm(checkpoint::role::feed_forward_norm),
            .norms = spec.norms};
}

std::uint64_t count_kept_values(const Layer& layer, std::uint64_t hidden_size) {
    return count_kept_values_of_any(layer.mixer) + count_kept_values_of_any(layer.feed_forward) +
           6 * hidden_size;
}

}  // namespace anamnesis::runtime
