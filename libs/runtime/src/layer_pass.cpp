// SPDX-License-Identifier: Apache-2.0
#include "layer_pass.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/ops/cat.h>

#include "anamnesis/checkpoint/blueprint.hpp"

#include "norm.hpp"
#include "recomputed.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {
namespace {

at::Tensor mix_any(const Mixer& mixer,
                   const at::Tensor& x,
                   const Call& call,
                   std::span<LayerState* const> states) {
    return std::visit([&](const auto& one) { return mix(one, x, call, states); }, mixer);
}

/// `whole` has the tables of the row; those of a text are their beginning.
std::vector<Segment> make_segments(std::span<const std::int64_t> boundaries, const Call& whole) {
    std::vector<Segment> segments;
    for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
        Segment& segment =
            segments.emplace_back(Segment{.begin = boundaries[i],
                                          .length = boundaries[i + 1] - boundaries[i],
                                          .call = {.starts = {0}}});
        if (whole.embeddings.defined()) {
            segment.call.embeddings = whole.embeddings.narrow(1, segment.begin, segment.length);
        }
        for (const RotaryTables& table : whole.tables) {
            segment.call.tables.push_back({.cosine = table.cosine.narrow(1, 0, segment.length),
                                           .sine = table.sine.narrow(1, 0, segment.length)});
        }
    }
    return segments;
}

at::Tensor mix_segments(const Mixer& mixer,
                        const at::Tensor& x,
                        std::span<const Segment> segments) {
    std::vector<at::Tensor> mixed;
    for (const Segment& segment : segments) {
        mixed.push_back(
            mix_any(mixer, x.narrow(1, segment.begin, segment.length), segment.call, {}));
    }
    return at::cat(mixed, 1);
}

/// What `branch` adds to the stream x, by the norms around it, and the stream that it is added to.
/// It may be of fewer, the last tokens.
template <class Branch>
std::pair<at::Tensor, at::Tensor> run_branch(const Residual& residual,
                                             const at::Tensor& x,
                                             const Branch& branch) {
    using checkpoint::NormPlacement;
    switch (residual.spec.norms) {
        case NormPlacement::before:
            return {branch(normalise(residual.norm, x)), x};
        case NormPlacement::after:
            return {normalise(residual.norm, branch(x)), x};
        case NormPlacement::both:
            return {normalise(residual.post_norm, branch(normalise(residual.norm, x))), x};
        case NormPlacement::inside:
            return {branch(x), x};
        case NormPlacement::of_stream:
            break;
    }
    const at::Tensor stream = normalise(residual.norm, x);
    return {branch(stream), stream};
}

/// The stream of the tokens that `call` wants.
template <class Branch>
at::Tensor add_branch(const Residual& residual,
                      const at::Tensor& x,
                      const Call& call,
                      const Branch& branch) {
    const auto [added, stream] = run_branch(residual, x, branch);
    // What a layer adds is a tensor of its own, and takes the sum.
    return scaled(call.take_wanted(added), residual.spec.branch_scale)
        .add_(call.take_wanted(stream), residual.spec.stream_scale);
}

}  // namespace

Passage make_passage(const Call& call, std::span<const std::int64_t> boundaries) {
    return {.call = call,
            .boundaries = {boundaries.begin(), boundaries.end()},
            .segments = make_segments(boundaries, call)};
}

at::Tensor pass(const LoadedLayer& layer,
                const at::Tensor& x,
                const Passage& passage,
                std::span<LayerState* const> states) {
    const auto mixed = [&](const at::Tensor& input) {
        return passage.segments.empty() ? mix_any(layer.mixer, input, passage.call, states)
                                        : mix_segments(layer.mixer, input, passage.segments);
    };
    const auto fed = [&](const at::Tensor& input) {
        return std::visit([&](const auto& one) { return apply(one, input, passage.call); },
                          layer.feed_forward);
    };
    const bool has_mixer = !std::holds_alternative<NoMixerLayer>(layer.mixer);
    const bool has_feed_forward = !std::holds_alternative<NoFeedForwardLayer>(layer.feed_forward);
    const Call& call = passage.call;
    const at::Tensor y =
        has_mixer ? add_branch(layer.mixer_residual, x, call, mixed) : call.take_wanted(x);
    if (!has_feed_forward) {
        return y;
    }
    if (layer.is_parallel) {
        const auto [added, stream] =
            run_branch(layer.feed_forward_residual, call.take_wanted(x), fed);
        return scaled(added, layer.feed_forward_residual.spec.branch_scale).add_(y);
    }
    return add_branch(layer.feed_forward_residual, y, call, fed);
}

at::Tensor pass_and_forget(const LoadedLayer& layer,
                           const at::Tensor& x,
                           const std::shared_ptr<const Passage>& passage) {
    return recomputed(x,
                      passage->call.embeddings,
                      [&layer, passage](const at::Tensor& input, const at::Tensor& embeddings) {
                          if (!embeddings.defined()) {
                              return pass(layer, input, *passage, {});
                          }
                          // Those of the graph that is made here.
                          Call call = passage->call;
                          call.embeddings = embeddings;
                          return pass(layer, input, make_passage(call, passage->boundaries), {});
                      });
}

at::Tensor scaled(const at::Tensor& x, double scale) {
    return scale == 1.0 ? x : x * scale;
}

}  // namespace anamnesis::runtime
