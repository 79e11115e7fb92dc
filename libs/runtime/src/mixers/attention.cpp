// SPDX-License-Identifier: Apache-2.0
#include "mixers/attention.hpp"

#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <ATen/ops/log.h>
#include <ATen/ops/tensor.h>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "../attention.hpp"
#include "attention_output.hpp"
#include "rotary.hpp"
#include "slopes.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;

at::Tensor scale_by_length(const at::Tensor& q,
                           const checkpoint::LengthScaling& scaling,
                           const Call& call) {
    if (scaling.constant) {
        return q * *scaling.constant;
    }
    const at::Tensor positions = positions_from(call.starts, q.size(1), q.device());
    const auto offset = static_cast<double>(scaling.offset);
    const at::Tensor factor = at::log(positions.to(at::kDouble) + offset) / std::log(offset);
    return q * factor.to(q.scalar_type()).unsqueeze(-1).unsqueeze(-1);
}

/// [B, T, heads D] -> [B, T, heads, D].
at::Tensor in_heads(const at::Tensor& rows, std::int64_t heads) {
    return rows.reshape({rows.size(0), rows.size(1), heads, -1});
}

/// The rows of one role of what a fused projection gives.
/// Shapes: rows [B, T, all rows] -> [B, T, rows of the role].
at::Tensor take_rows(const at::Tensor& rows,
                     const checkpoint::RowLayout& layout,
                     checkpoint::RowRole role) {
    const at::Tensor repeated = rows.view({rows.size(0), rows.size(1), layout.repeat, -1});
    std::int64_t first = 0;
    for (const checkpoint::RowSegment& segment : layout.segments) {
        const auto count = static_cast<std::int64_t>(segment.rows * segment.heads);
        if (segment.role == role) {
            return repeated.narrow(-1, first, count).flatten(2);
        }
        first += count;
    }
    return {};
}

/// What the projections of x give.
struct ProjectedRows {
    at::Tensor query{}, key{}, value{}, gate{};  ///< query and gate of the wanted tokens alone
};

ProjectedRows project(const AttentionLayer& layer, const at::Tensor& x, const Call& call) {
    if (layer.spec.fused) {
        using checkpoint::RowRole;
        const auto [rows, gate] = apply_each(x, layer.qkv_proj, layer.o_gate);
        return {.query = take_rows(call.take_wanted(rows), *layer.spec.fused, RowRole::query),
                .key = take_rows(rows, *layer.spec.fused, RowRole::key),
                .value = take_rows(rows, *layer.spec.fused, RowRole::value),
                .gate = gate.defined() ? call.take_wanted(gate) : gate};
    }
    const at::Tensor asking = call.take_wanted(x);
    const auto with_adapters = [&](const at::Tensor& query,
                                   const at::Tensor& key,
                                   const at::Tensor& value,
                                   const at::Tensor& gate) -> ProjectedRows {
        return {.query = add_low_rank(query, layer.q_adapter, asking),
                .key = add_low_rank(key, layer.k_adapter, x),
                .value = add_low_rank(value, layer.v_adapter, x),
                .gate = gate};
    };
    if (!asking.is_same(x)) {
        const auto [query, gate] = apply_each(asking, layer.q_proj, layer.o_gate);
        const auto [key, value] = apply_each(x, layer.k_proj, layer.v_proj);
        return with_adapters(query, key, value, gate);
    }
    const auto [query, key, value, gate] =
        apply_each(x, layer.q_proj, layer.k_proj, layer.v_proj, layer.o_gate);
    return with_adapters(query, key, value, gate);
}

/// Queries and keys of what the projections give; gates among the query rows are left out.
Routing make_routing(const AttentionLayer& layer,
                     const at::Tensor& query_rows,
                     const at::Tensor& key_rows,
                     const Call& call) {
    const std::optional<Call> narrowed = call.narrow_to_wanted(key_rows.size(1));
    const Call& asking = narrowed ? *narrowed : call;
    const checkpoint::AttentionSpec& spec = layer.spec;
    const bool is_full_width = spec.qk_norm == checkpoint::QkNorm::full_width;
    Routing made{.q = query_rows, .k = key_rows};
    if (is_full_width) {
        made.q = apply(layer.q_norm, made.q);
        made.k = apply(layer.k_norm, made.k);
    }
    made.q = in_heads(made.q, spec.heads.query_heads);
    made.k = in_heads(made.k, spec.heads.kv_heads);
    if (spec.gate == checkpoint::OutputGate::interleaved) {
        made.q = made.q.narrow(-1, 0, spec.heads.head_dim);
    }
    if (layer.q_norm.is_defined() && !is_full_width) {
        made.q = apply(layer.q_norm, made.q);
        made.k = apply(layer.k_norm, made.k);
    }
    if (spec.key_scale != 1.0) {
        made.k = made.k * spec.key_scale;
    }
    if (spec.rotary) {
        made.q = rotate(made.q.contiguous(), asking.tables[layer.table]);
        made.k = rotate(made.k.contiguous(), call.tables[layer.table]);
    }
    if (spec.scaling) {
        made.q = scale_by_length(made.q, *spec.scaling, asking);
    }
    if (spec.logit_scale) {
        // Attention itself multiplies by head_dim^-0.5.
        made.q = made.q * (*spec.logit_scale * std::sqrt(static_cast<double>(spec.heads.head_dim)));
    }
    return made;
}

}  // namespace

AttentionLayer load_mixer(const checkpoint::AttentionSpec& spec, const LayerWeights& weights) {
    AttentionLayer layer{.spec = spec, .o_proj = weights.linear(role::output)};
    if (spec.fused) {
        layer.qkv_proj = weights.linear(role::query_key_value);
    } else {
        layer.q_proj = weights.linear(role::query);
        layer.k_proj = weights.linear(role::key);
        layer.v_proj = weights.linear(role::value);
    }
    if (spec.has_sinks) {
        layer.sinks = weights.tensor(role::sinks);
    }
    if (spec.alibi_factor) {
        layer.slopes = (at::tensor(make_alibi_slopes(spec.heads.query_heads), at::kDouble) *
                        *spec.alibi_factor)
                           .to(weights.device(), weights.activation_type());
    }
    if (spec.gate == checkpoint::OutputGate::separate ||
        spec.gate == checkpoint::OutputGate::per_head) {
        layer.o_gate = weights.linear(role::output_gate);
    }
    if (spec.qk_norm != checkpoint::QkNorm::none) {
        const auto gain = spec.qk_norm == checkpoint::QkNorm::per_head_plus1
                              ? checkpoint::Gain::offset
                              : checkpoint::Gain::plain;
        const double eps = weights.blueprint().norm_eps;
        layer.q_norm = weights.norm(role::query_norm, eps, gain);
        layer.k_norm = weights.norm(role::key_norm, eps, gain);
    }
    if (spec.rotary) {
        layer.table = weights.add_rotary(*spec.rotary);
    }
    return layer;
}

at::Tensor mix(const AttentionLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::AttentionSpec& spec = layer.spec;
    call.tell_input(role::query, x);
    const auto [query_rows, key_rows, value_rows, gate_rows] = project(layer, x, call);
    const auto [q, k] = make_routing(layer, query_rows, key_rows, call);
    const at::Tensor v = in_heads(value_rows, spec.heads.kv_heads);
    at::Tensor gate;
    if (spec.gate == checkpoint::OutputGate::interleaved) {
        gate = in_heads(query_rows, spec.heads.query_heads)
                   .narrow(-1, spec.heads.head_dim, spec.heads.head_dim);
    } else if (spec.gate == checkpoint::OutputGate::separate) {
        gate = in_heads(gate_rows, spec.heads.query_heads);
    } else if (spec.gate == checkpoint::OutputGate::per_head) {
        gate = gate_rows.unsqueeze(-1).expand(q.sizes());
    }
    const AttentionOptions options{.window = spec.window,
                                   .sinks = layer.sinks,
                                   .softcap = spec.softcap,
                                   .slopes = layer.slopes,
                                   .may_round = multiplies_in_bf16(layer.o_proj, x, true)};
    at::Tensor y;
    if (states.empty()) {
        y = attend_within(q, k, v, options);
    } else {
        std::vector<KeyValueCache*> caches;
        for (LayerState* const state : states) {
            caches.push_back(&*state->cache);
        }
        append_each(caches, k, v);
        y = attend_to_caches(q, caches, options);
        for (LayerState* const state : states) {
            if (spec.window) {
                state->cache->forget_before(state->cache->length() - *spec.window + 1);
            }
        }
    }
    return finish_attention(
        layer.o_proj,
        {.q = q, .k = k, .v = v, .mixed = y, .gate = gate, .output = {}, .slopes = layer.slopes},
        call);
}

Routing route(const AttentionLayer& layer, const at::Tensor& x, const Call& call) {
    const ProjectedRows rows = project(layer, x, call);
    return make_routing(layer, rows.query, rows.key, call);
}

LayerState make_state(const AttentionLayer& /*layer*/, const CacheOptions& options) {
    LayerState state;
    state.cache.emplace(options.type, options.page_length);
    return state;
}

std::uint64_t count_kept_values(const AttentionLayer& layer) {
    const HeadLayout& heads = layer.spec.heads;
    const std::uint64_t queries = std::uint64_t{heads.query_heads} * heads.head_dim;
    const std::uint64_t keys = std::uint64_t{heads.kv_heads} * heads.head_dim;
    // What the softmax reads and gives; what a norm before it reads; a gate and what it gives.
    const std::uint64_t norm = layer.q_norm.is_defined() ? queries + keys : 0;
    const std::uint64_t gate = layer.spec.gate == checkpoint::OutputGate::none ? 0 : 2 * queries;
    return 2 * queries + 2 * keys + norm + gate;
}

}  // namespace anamnesis::runtime
