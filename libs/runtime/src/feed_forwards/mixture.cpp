// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/mixture.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>

#include "feed_forwards/expert_stacks.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;
using checkpoint::MixtureSpec;

std::vector<DenseFeedForward> load_experts(const MixtureSpec& spec, const LayerWeights& weights) {
    if (spec.layout == checkpoint::ExpertLayout::transposed) {
        return load_transposed_experts(spec, weights);
    }
    if (weights.has(role::experts_down)) {
        return load_stacked_experts(spec, weights);
    }
    std::vector<DenseFeedForward> experts;
    for (std::uint32_t e = 0; e < spec.experts; ++e) {
        const auto part = [&](std::string_view one) {
            return weights.fixed_linear(role::expert(e, one));
        };
        experts.push_back({.spec = spec.expert,
                           .gate_proj = spec.expert.is_gated ? part(role::gate) : Linear(),
                           .up_proj = part(role::up),
                           .down_proj = part(role::down)});
    }
    return experts;
}

DenseFeedForward load_shared(const checkpoint::DenseSpec& spec, const LayerWeights& weights) {
    const Linear down = weights.linear(role::shared_down);
    if (spec.is_gated && spec.is_fused) {
        return split_gate_up(spec, weights.linear(role::shared_gate_up), down);
    }
    return {.spec = spec,
            .gate_proj = spec.is_gated ? weights.linear(role::shared_gate) : Linear(),
            .up_proj = weights.linear(role::shared_up),
            .down_proj = down};
}

/// What the chosen experts make of each token, weighted and summed.
at::Tensor apply_experts(const MixtureFeedForward& mixture,
                         const at::Tensor& tokens,
                         const Choice& choice,
                         const Call& call) {
    Call of_expert{.starts = {}, .layer = call.layer, .inputs = call.inputs};
    // Where each expert is wanted: positions in the flat list of choices.
    const at::Tensor choices = choice.experts.to(at::kCPU).contiguous();
    std::vector<std::vector<std::int64_t>> wanted(mixture.experts.size());
    const auto* experts = choices.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < choices.numel(); ++i) {
        wanted[static_cast<std::size_t>(experts[i])].push_back(i);
    }
    const at::Tensor flat_weights = choice.weights.reshape({-1, 1});
    at::Tensor y = at::zeros_like(tokens);
    for (std::size_t e = 0; e < wanted.size(); ++e) {
        if (wanted[e].empty()) {
            continue;
        }
        const at::Tensor at_choices = at::tensor(wanted[e], at::kLong).to(tokens.device());
        const at::Tensor at_tokens = at_choices.floor_divide(mixture.router.experts_per_token);
        of_expert.expert = static_cast<std::uint32_t>(e);
        of_expert.tokens = at_tokens;
        y = y.index_add(0,
                        at_tokens,
                        apply(mixture.experts[e], tokens.index_select(0, at_tokens), of_expert) *
                            flat_weights.index_select(0, at_choices));
    }
    return y;
}

}  // namespace

MixtureFeedForward load_feed_forward(const MixtureSpec& spec, const LayerWeights& weights) {
    MixtureFeedForward mixture{.spec = spec,
                               .router = {.spec = spec.router,
                                          .experts_per_token = spec.experts_per_token,
                                          .logits = weights.fixed_linear(role::router)},
                               .experts = load_experts(spec, weights)};
    if (spec.router.is_corrected) {
        mixture.router.correction = weights.tensor(role::router_correction);
    }
    if (spec.shared) {
        mixture.shared = load_shared(spec.shared->dense, weights);
        if (spec.shared->is_weighted) {
            mixture.shared_gate = weights.fixed_linear(role::shared_weight);
        }
    }
    if (spec.latent_width != 0) {
        mixture.latent_input = weights.linear(role::latent_input);
        mixture.latent_output = weights.linear(role::latent_output);
    }
    return mixture;
}

at::Tensor apply(const MixtureFeedForward& mixture, const at::Tensor& x, const Call& call) {
    call.tell_input(role::router, x);
    const auto in_batch = [&](const at::Tensor& rows) {
        return rows.view({x.size(0), x.size(1), -1});
    };
    const at::Tensor tokens = x.reshape({-1, x.size(-1)});
    const bool is_latent = mixture.latent_input.is_defined();
    at::Tensor y = apply_experts(mixture,
                                 is_latent ? apply(mixture.latent_input, tokens) : tokens,
                                 choose_experts(mixture.router, tokens),
                                 call);
    if (is_latent) {
        call.tell_input(role::latent_output, in_batch(y));
        y = apply(mixture.latent_output, y);
    }
    if (mixture.spec.shared) {
        const InputObserver tells_last = [&](const MatrixInput& input) {
            if (input.role == role::down) {
                call.tell_input(role::shared_down, in_batch(input.values));
            }
        };
        const Call of_shared{.starts = {}, .inputs = &tells_last};
        const at::Tensor shared = apply(mixture.shared, tokens, of_shared);
        y = y + (mixture.shared_gate.is_defined()
                     ? at::sigmoid(apply(mixture.shared_gate, tokens)) * shared
                     : shared);
    }
    return y.view(x.sizes());
}

std::uint64_t count_kept_values(const MixtureFeedForward& mixture) {
    const MixtureSpec& spec = mixture.spec;
    const std::uint64_t shared = spec.shared ? spec.shared->dense.width : 0;
    // Each expert has its own rows of the inputs, and gives rows of outputs.
    const auto hidden = static_cast<std::uint64_t>(mixture.router.logits.weight.size(1));
    return std::uint64_t{spec.experts_per_token} * (4 * spec.expert.width + 3 * hidden) +
           4 * shared + 2 * (std::uint64_t{spec.experts} + spec.latent_width);
}

}  // namespace anamnesis::runtime
