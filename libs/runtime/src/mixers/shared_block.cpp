// SPDX-License-Identifier: Apache-2.0
#include "mixers/shared_block.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <ATen/ops/cat.h>

#include "anamnesis/base/check.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

/// A layer's own copy, if it has one, else what another layer stores for it.
Linear load_own_or_shared(std::string_view shared, const LayerWeights& weights) {
    const std::string own = role::to_own_role(shared);
    return weights.linear(weights.has(own) ? std::string_view(own) : shared);
}

LowRank load_adapter(std::string_view matrix, const LayerWeights& weights) {
    return {.input = load_own_or_shared(role::to_adapter_input_role(matrix), weights),
            .output = load_own_or_shared(role::to_adapter_output_role(matrix), weights)};
}

}  // namespace

SharedBlockLayer load_mixer(const checkpoint::SharedBlockSpec& spec, const LayerWeights& weights) {
    SharedBlockLayer layer{
        .block_norm = weights.norm(role::block_norm, spec.norm_eps),
        .attention = load_mixer(spec.attention, weights),
        .feed_forward_norm = weights.norm(role::block_feed_forward_norm, spec.norm_eps),
        .feed_forward = load_feed_forward(spec.feed_forward, weights),
        .output = weights.linear(role::block_output),
        .mamba_norm = weights.norm(role::mamba_norm, spec.norm_eps),
        .mamba = load_mixer(spec.mamba, weights.with_roles(role::mamba_prefix))};
    if (spec.adapter_rank != 0) {
        layer.feed_forward.adapter = load_adapter(role::gate_up, weights);
    }
    if (spec.adapts_attention) {
        layer.attention.q_adapter = load_adapter(role::query, weights);
        layer.attention.k_adapter = load_adapter(role::key, weights);
        layer.attention.v_adapter = load_adapter(role::value, weights);
    }
    return layer;
}

at::Tensor mix(const SharedBlockLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    ANAMNESIS_CHECK(call.embeddings.defined(), "a shared block reads the embeddings");
    const at::Tensor both = apply(layer.block_norm, at::cat({x, call.embeddings}, -1));
    Call of_all = call;  // which the other mixer reads
    of_all.wanted.reset();
    const at::Tensor seen = mix(layer.attention, both, of_all, states);
    // Observers know one feed-forward a layer, which this is not.
    const at::Tensor fed = apply(layer.feed_forward, apply(layer.feed_forward_norm, seen), Call());
    return mix(layer.mamba, apply(layer.mamba_norm, x + apply(layer.output, fed)), call, states);
}

LayerState make_state(const SharedBlockLayer& layer, const CacheOptions& options) {
    return make_state(layer.attention, options);
}

std::uint64_t count_kept_values(const SharedBlockLayer& layer) {
    const auto hidden = static_cast<std::uint64_t>(layer.mamba_norm.gain.size(0));
    return count_kept_values(layer.attention) + count_kept_values(layer.feed_forward) +
           count_kept_values(layer.mamba) + 9 * hidden;
}

}  // namespace anamnesis::runtime
