// SPDX-License-Identifier: Apache-2.0
#include "mixers/lightning.hpp"

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/ops/tensor.h>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "recurrent_parts.hpp"
#include "rotary.hpp"
#include "slopes.hpp"

namespace anamnesis::runtime {
namespace {

namespace role = checkpoint::role;
using checkpoint::Part;

at::Tensor make_log_decay(const checkpoint::LightningSpec& spec) {
    const std::vector<double> slopes = spec.slopes == checkpoint::Slopes::alibi
                                           ? make_alibi_slopes(spec.heads.query_heads)
                                           : make_plain_slopes(spec.heads.query_heads);
    return at::tensor(slopes, at::kDouble) * -spec.slope_scale;
}

struct Projected {
    at::Tensor q{}, k{}, v{};  ///< [B, T, heads, D]
    at::Tensor gate{};         ///< [B, T, heads D]
};

Projected project(const LightningLayer& layer, const at::Tensor& x) {
    const checkpoint::LightningSpec& spec = layer.spec;
    const auto in_heads = [&](const at::Tensor& rows, std::int64_t heads) {
        return rows.view({x.size(0), x.size(1), heads, -1});
    };
    if (spec.fused != checkpoint::FusedRows::none) {
        const auto [rows, gate] = apply_each(x, layer.qkv_proj, layer.z_proj);
        const at::Tensor values = spec.is_activated ? activated(rows) : rows;
        const std::int64_t heads = spec.heads.query_heads;
        const auto part = [&](std::int64_t i) {
            const std::int64_t dim = spec.heads.head_dim;
            return spec.fused == checkpoint::FusedRows::by_head
                       ? in_heads(values, heads).narrow(-1, i * dim, dim)
                       : in_heads(values, 3 * heads).narrow(2, i * heads, heads);
        };
        return {.q = part(0), .k = part(1), .v = part(2), .gate = gate};
    }
    auto [q, k, v, gate] = apply_each(x, layer.q_proj, layer.k_proj, layer.v_proj, layer.z_proj);
    if (spec.is_activated) {
        q = activated(q);
        k = activated(k);
        v = activated(v);
    }
    return {.q = in_heads(q, spec.heads.query_heads),
            .k = in_heads(k, spec.heads.kv_heads),
            .v = in_heads(v, spec.heads.kv_heads),
            .gate = gate};
}

}  // namespace

LightningLayer load_mixer(const checkpoint::LightningSpec& spec, const LayerWeights& weights) {
    const double eps = weights.blueprint().norm_eps;
    LightningLayer layer{.spec = spec, .o_proj = weights.linear(role::output)};
    if (spec.fused != checkpoint::FusedRows::none) {
        layer.qkv_proj = weights.linear(role::query_key_value);
    } else {
        layer.q_proj = weights.linear(role::query);
        layer.k_proj = weights.linear(role::key);
        layer.v_proj = weights.linear(role::value);
    }
    layer.log_decay = make_log_decay(spec).to(weights.device(), weights.activation_type());
    if (spec.qk_norm == Part::present) {
        layer.q_norm = weights.norm(role::query_norm, eps);
        layer.k_norm = weights.norm(role::key_norm, eps);
    }
    if (spec.output_norm == Part::present) {
        layer.o_norm = weights.norm(role::output_norm, spec.output_eps.value_or(eps));
    }
    if (spec.output_gate == Part::present) {
        layer.z_proj = weights.linear(role::output_gate);
    }
    if (spec.rotary) {
        layer.table = weights.add_rotary(*spec.rotary);
    }
    return layer;
}

at::Tensor mix(const LightningLayer& layer,
               const at::Tensor& x,
               const Call& call,
               std::span<LayerState* const> states) {
    const checkpoint::LightningSpec& spec = layer.spec;
    auto [q, k, v, gate] = project(layer, x);
    if (layer.q_norm.is_defined()) {
        q = apply(layer.q_norm, q);
        k = apply(layer.k_norm, k);
    }
    if (spec.rotary) {
        q = rotate(q, call.tables[layer.table]);
        k = rotate(k, call.tables[layer.table]);
    }
    if (spec.heads.kv_heads != spec.heads.query_heads) {
        const std::int64_t group = spec.heads.query_heads / spec.heads.kv_heads;
        k = k.repeat_interleave(group, 2);
        v = v.repeat_interleave(group, 2);
    }
    at::Tensor y = call.take_wanted(
        run({.q = q, .k = k, .v = v, .decay = layer.log_decay, .scale = spec.scale}, states)
            .flatten(2));
    if (layer.o_norm.is_defined()) {
        y = apply_in_groups(layer.o_norm, y, spec.norm_groups);
    }
    if (layer.z_proj.is_defined()) {
        y = gated(y, call.take_wanted(gate));
    }
    return apply(layer.o_proj, y);
}

LayerState make_state(const LightningLayer& /*layer*/, const CacheOptions& /*options*/) {
    return {};
}

std::uint64_t count_kept_values(const LightningLayer& layer) {
    const HeadLayout& heads = layer.spec.heads;
    const std::uint64_t queries = std::uint64_t{heads.query_heads} * heads.head_dim;
    const std::uint64_t keys = std::uint64_t{heads.kv_heads} * heads.head_dim;
    return 12 * queries + 5 * keys + 3 * recurrence_chunk * heads.query_heads;
}

}  // namespace anamnesis::runtime
