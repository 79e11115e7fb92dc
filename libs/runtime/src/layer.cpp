// SPDX-License-Identifier: Apache-2.0
#include "layer.hpp"

#include <algorithm>
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

Residual load_residual(const checkpoint::ResidualSpec& spec,
                       std::string_view role,
                       std::string_view post_role,
                       const LayerWeights& weights) {
    Residual residual{.spec = spec};
    if (spec.norms != checkpoint::NormPlacement::inside) {
        residual.norm = weights.stream_norm(role);
    }
    if (spec.norms == checkpoint::NormPlacement::both) {
        residual.post_norm = weights.stream_norm(post_role);
    }
    return residual;
}

}  // namespace

LoadedLayer load_layer(const checkpoint::LayerSpec& spec, const LayerWeights& weights) {
    namespace role = checkpoint::role;
    LoadedLayer layer{.mixer = load_any(spec.mixer, weights),
                      .feed_forward = load_any(spec.feed_forward, weights),
                      .is_parallel = spec.is_parallel};
    if (!std::holds_alternative<NoMixerLayer>(layer.mixer)) {
        layer.mixer_residual =
            load_residual(spec.mixer_residual, role::mixer_norm, role::mixer_post_norm, weights);
    }
    if (!std::holds_alternative<NoFeedForwardLayer>(layer.feed_forward)) {
        const bool shares_norm = spec.is_parallel && !weights.has(role::feed_forward_norm);
        layer.feed_forward_residual = shares_norm ? layer.mixer_residual
                                                  : load_residual(spec.feed_forward_residual,
                                                                  role::feed_forward_norm,
                                                                  role::feed_forward_post_norm,
                                                                  weights);
    }
    return layer;
}

std::int64_t count_needed(const LoadedLayer& layer, std::int64_t wanted, std::int64_t length) {
    if (std::holds_alternative<NoMixerLayer>(layer.mixer)) {
        return std::min(wanted, length);
    }
    if (const auto* convolution = std::get_if<ShortConvolutionLayer>(&layer.mixer)) {
        return std::min(wanted + convolution->spec.taps - 1, length);
    }
    return length;
}

Routing route(const LoadedLayer& layer, const at::Tensor& x, const Call& call) {
    return std::visit(
        [&](const auto& mixer) -> Routing {
            if constexpr (requires { runtime::route(mixer, x, call); }) {
                return runtime::route(mixer, x, call);
            } else {
                throw Error(ErrorKind::internal,
                            "a layer without softmax attention routes nothing");
            }
        },
        layer.mixer);
}

LatentRows project_latents(const LoadedLayer& layer, const at::Tensor& x) {
    const auto* latent = std::get_if<LatentAttentionLayer>(&layer.mixer);
    if (latent == nullptr) {
        throw Error(ErrorKind::internal, "a layer without latent attention has no latent rows");
    }
    return project_latents(*latent, x);
}

std::uint64_t count_kept_values(const LoadedLayer& layer, std::uint64_t hidden_size) {
    return count_kept_values_of_any(layer.mixer) + count_kept_values_of_any(layer.feed_forward) +
           4 * hidden_size;
}

}  // namespace anamnesis::runtime
