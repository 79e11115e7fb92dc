// SPDX-License-Identifier: Apache-2.0
#include "feed_forwards/mixture.hpp"

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

std::vector<DenseFeedForward> load_experts(const checkpoint::MixtureSpec& spec,
                                           const LayerWeights& weights) {
    std::vector<DenseFeedForward> experts;
    if (!weights.has(role::experts_gate_up)) {
        for (std::uint32_t e = 0; e < spec.experts; ++e) {
            experts.push_back({.gate_proj = weights.linear(role::expert(e, role::gate)),
                               .up_proj = weights.linear(role::expert(e, role::up)),
                               .down_proj = weights.linear(role::expert(e, role::down))});
        }
        return experts;
    }
    const std::int64_t width = spec.expert_width;
    const at::Tensor gate_up = weights.tensor(role::experts_gate_up);
    const at::Tensor down = weights.tensor(role::experts_down);
    for (std::int64_t e = 0; e < spec.experts; ++e) {
        const at::Tensor both = gate_up.select(0, e);
        experts.push_back({.gate_proj = {.weight = both.narrow(0, 0, width)},
                           .up_proj = {.weight = both.narrow(0, width, width)},
                           .down_proj = {.weight = down.select(0, e)}});
    }
    return experts;
}

}  // namespace

MixtureFeedForward load_feed_forward(const checkpoint::MixtureSpec& spec,
                                     const LayerWeights& weights) {
    return {.spec = spec,
            .router = weights.linear(role::router),
            .experts = load_experts(spec, weights),
            .shared = {.gate_proj = weights.linear(role::shared_gate),
                       .up_proj = weights.linear(role::shared_up),
                       .down_proj = weights.linear(role::shared_down)},
            .shared_gate = weights.linear(role::shared_weight)};
}

at::Tensor apply(const MixtureFeedForward& mixture, const at::Tensor& x, const Call& /*call*/) {
    // Each expert reads tokens of its own.
    const Call untold;
    const at::Tensor tokens = x.reshape({-1, x.size(-1)});
    const at::Tensor chances = at::softmax(apply(mixture.router, tokens), -1);
    auto [weights, chosen] = at::topk(chances, mixture.spec.experts_per_token, -1);
    if (mixture.spec.is_renormalised) {
        weights = weights / weights.sum(-1, /*keepdim=*/true);
    }
    // Where each expert is wanted: positions in the flat list of choices.
    const at::Tensor choices = chosen.to(at::kCPU).contiguous();
    std::vector<std::vector<std::int64_t>> wanted(mixture.experts.size());
    const auto* experts = choices.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < choices.numel(); ++i) {
        wanted[static_cast<std::size_t>(experts[i])].push_back(i);
    }
    const at::Tensor flat_weights = weights.reshape({-1, 1});
    at::Tensor y =
        at::sigmoid(apply(mixture.shared_gate, tokens)) * apply(mixture.shared, tokens, untold);
    for (std::size_t e = 0; e < wanted.size(); ++e) {
        if (wanted[e].empty()) {
            continue;
        }
        const at::Tensor at_choices = at::tensor(wanted[e], at::kLong).to(x.device());
        const at::Tensor at_tokens =
            at_choices.floor_divide(static_cast<std::int64_t>(mixture.spec.experts_per_token));
        y = y.index_add(0,
                        at_tokens,
                        apply(mixture.experts[e], tokens.index_select(0, at_tokens), untold) *
                            flat_weights.index_select(0, at_choices));
    }
    return y.view(x.sizes());
}

std::uint64_t count_kept_values(const MixtureFeedForward& mixture) {
    const checkpoint::MixtureSpec& spec = mixture.spec;
    return 4 * (std::uint64_t{spec.experts_per_token} * spec.expert_width + spec.shared_width) +
           2 * std::uint64_t{spec.experts};
}

}  // namespace anamnesis::runtime
