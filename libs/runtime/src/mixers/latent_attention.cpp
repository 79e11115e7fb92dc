// SPDX-License-Identifier: Apache-2.0
#include "mixers/latent_attention.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>

#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "../attention.hpp"
#include "attention_output.hpp"
#include "latent_cache_attention.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

/// What queries, keys and values are made of.
struct Projected {
    /// [B, wanted, heads, nope + rope], so that q k^T / sqrt(nope + rope) are logits
    at::Tensor q;
    at::Tensor latent;  ///< [B, T, kv_rank]
    at::Tensor shared;  ///< [B, T, rope]: the part of the key that all heads share
    at::Tensor gate;    ///< [B, wanted, heads] before its sigmoid; undefined without one
};

/// x [B, T, heads, rope] turned by its positions.
at::Tensor turn(const LatentAttentionLayer& layer, const at::Tensor& x, const Call& call) {
    if (!layer.spec.rotary) {
        return x;
    }
    const RotaryTables& tables = call.tables[layer.table];
    return layer.spec.pairs_neighbours ? rotate_neighbours(x, tables)
                                       : rotate(x.clone(at::MemoryFormat::Contiguous), tables);
}

/// Query rows of what the first matrix of queries gives, which is the only one without
/// `query_rank`.
at::Tensor project_queries(const LatentAttentionLayer& layer,
                           const at::Tensor& rows,
                           const Call& call) {
    if (!layer.spec.query_rank) {
        return rows;
    }
    const at::Tensor latent = apply(layer.q_norm, rows);
    call.tell_input(role::query, latent);
    return apply(layer.q_proj, latent);
}

at::Tensor make_queries(const LatentAttentionLayer& layer,
                        const at::Tensor& rows,
                        const Call& call) {
    const checkpoint::LatentAttentionSpec& spec = layer.spec;
    at::Tensor q = project_queries(layer, rows, call)
                       .reshape({rows.size(0), rows.size(1), spec.heads, spec.key_dim()});
    if (spec.rotary) {
        q = at::cat({q.narrow(-1, 0, spec.nope_dim),
                     turn(layer, q.narrow(-1, spec.nope_dim, spec.rope_dim), call)},
                    -1);
    }
    const double factor = spec.scale * std::sqrt(static_cast<double>(spec.key_dim()));
    // Without YaRN the two are inverse, but for rounding.
    return std::abs(factor - 1.0) < 1e-12 ? q : q * factor;
}

Projected project(const LatentAttentionLayer& layer, const at::Tensor& x, const Call& call) {
    const checkpoint::LatentAttentionSpec& spec = layer.spec;
    const Linear& first_of_queries = spec.query_rank ? layer.q_in : layer.q_proj;
    const std::optional<Call> narrowed = call.narrow_to_wanted(x.size(1));
    const auto with_parts = [&](const at::Tensor& query_rows,
                                const at::Tensor& compressed,
                                const at::Tensor& gate) -> Projected {
        const at::Tensor shared = compressed.narrow(-1, spec.kv_rank, spec.rope_dim);
        return {.q = make_queries(layer, query_rows, narrowed ? *narrowed : call),
                .latent = apply(layer.latent_norm, compressed.narrow(-1, 0, spec.kv_rank)),
                .shared = turn(layer, shared.unsqueeze(2), call).squeeze(2),
                .gate = gate};
    };
    if (const at::Tensor asking = call.take_wanted(x); !asking.is_same(x)) {
        const auto [query_rows, gate] = apply_each(asking, first_of_queries, layer.head_gate);
        return with_parts(query_rows, apply(layer.latent_proj, x), gate);
    }
    const auto [query_rows, compressed, gate] =
        apply_each(x, first_of_queries, layer.latent_proj, layer.head_gate);
    return with_parts(query_rows, compressed, gate);
}

/// Keys [B, T, heads, nope + rope] and values [B, T, heads, value].
KeyValueCache::Page expand(const LatentAttentionLayer& layer, const Projected& made) {
    const checkpoint::LatentAttentionSpec& spec = layer.spec;
    const std::int64_t batch = made.latent.size(0);
    const std::int64_t length = made.latent.size(1);
    const at::Tensor both =
        apply(layer.key_value, made.latent)
            .reshape({batch, length, spec.heads, spec.nope_dim + spec.value_dim});
    return {.keys = at::cat(
                {both.narrow(-1, 0, spec.nope_dim),
                 made.shared.unsqueeze(2).expand({batch, length, spec.heads, spec.rope_dim})},
                -1),
            .values = both.narrow(-1, spec.nope_dim, spec.value_dim)};
}

at::Tensor attend_to_caches(const LatentAttentionLayer& layer,
                            const Projected& made,
                            std::span<LayerState* const> states) {
    const at::Tensor cached = at::cat({made.latent, made.shared}, -1).unsqueeze(2);
    std::vector<KeyValueCache*> caches;
    for (LayerState* const state : states) {
        caches.push_back(&*state->cache);
    }
    append_each(caches, cached, {});
    std::vector<at::Tensor> rows;
    for (std::size_t b = 0; b < states.size(); ++b) {
        rows.push_back(attend_to_latents(layer.spec,
                                         layer.key_value,
                                         made.q.select(0, static_cast<std::int64_t>(b)),
                                         *caches[b]));
    }
    return rows.size() == 1 ? rows.front().unsqueeze(0) : at::stack(rows);
}

}  // namespace

LatentAttentionLayer load_mixer(const checkpoint::LatentAttentionSpec& spec,
                                const LayerWeights& weights) {
    LatentAttentionLayer layer{.spec = spec,
                               .q_proj = weights.linear(role::query),
                               .latent_proj = weights.linear(role::latent),
                               .latent_norm = weights.norm(role::latent_norm, spec.norm_eps),
                               .key_value = weights.readable_linear(role::key_value),
                               .o_proj = weights.linear(role::output)};
    if (spec.query_rank) {
        layer.q_in = weights.linear(role::query_input);
        layer.q_norm = weights.norm(role::query_input_norm, spec.norm_eps);
    }
    if (spec.has_head_gate) {
        layer.head_gate = weights.linear(role::output_gate);
    }
    if (spec.rotary) {
        layer.table = weights.add_rotary(*spec.rotary);
    }
    return layer;
}

at::Tensor mix(const LatentAttentionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    call.tell_input(layer.spec.query_rank ? role::query_input : role::query, x);
    const Projected made = project(layer, x, call);
    call.tell_input(role::key_value, made.latent);
    KeyValueCache::Page expanded;
    at::Tensor y;
    if (states.empty()) {
        expanded = expand(layer, made);
        y = attend_within_latents(layer.spec, made.q, expanded.keys, expanded.values);
    } else {
        y = attend_to_caches(layer, made, states);
    }
    const at::Tensor gate =
        made.gate.defined() ? made.gate.unsqueeze(-1).expand(y.sizes()) : made.gate;
    return finish_attention(layer.o_proj,
                            {.q = made.q,
                             .k = expanded.keys,
                             .v = expanded.values,
                             .mixed = y,
                             .gate = gate,
                             .output = {},
                             .slopes = {}},
                            call);
}

Routing route(const LatentAttentionLayer& layer, const at::Tensor& x, const Call& call) {
    const Projected made = project(layer, x, call);
    return {.q = made.q, .k = expand(layer, made).keys};
}

LatentRows project_latents(const LatentAttentionLayer& layer, const at::Tensor& x) {
    const checkpoint::LatentAttentionSpec& spec = layer.spec;
    const auto [query_rows, compressed] =
        apply_each(x, spec.query_rank ? layer.q_in : layer.q_proj, layer.latent_proj);
    const at::Tensor latent = apply(layer.latent_norm, compressed.narrow(-1, 0, spec.kv_rank));
    return {.query = project_queries(layer, query_rows, Call()),
            .key_value = apply(layer.key_value, latent)};
}

LayerState make_state(const LatentAttentionLayer& /*layer*/, const CacheOptions& options) {
    LayerState state;
    state.cache.emplace(options.type, options.page_length);
    return state;
}

std::uint64_t count_kept_values(const LatentAttentionLayer& layer) {
    const checkpoint::LatentAttentionSpec& spec = layer.spec;
    const std::uint64_t heads = spec.heads;
    const std::uint64_t gate = spec.has_head_gate ? 2 * heads * spec.value_dim : 0;
    return 7 * heads * spec.key_dim() + 4 * heads * spec.value_dim + 4 * spec.kv_rank +
           4 * spec.query_rank.value_or(0) + gate;
}

}  // namespace anamnesis::runtime
