// SPDX-License-Identifier: Apache-2.0
#include "latent_cache_attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "attention.hpp"
#include "cpu_kernels.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::LatentAttentionSpec;

std::int64_t head_rows(const LatentAttentionSpec& spec) {
    return std::int64_t{spec.nope_dim} + spec.value_dim;
}

/// x with zeros after its last dimension, up to `width`.
at::Tensor widened(const at::Tensor& x, std::int64_t width) {
    return x.size(-1) == width ? x : at::constant_pad_nd(x, {0, width - x.size(-1)});
}

/// Heads of keys and values as wide as the wider of the two.
std::int64_t common_dim(const LatentAttentionSpec& spec) {
    return std::max(spec.key_dim(), spec.value_dim);
}

/// Queries whose products with keys of `dim` values are divided by sqrt(dim).
at::Tensor scaled_for(const LatentAttentionSpec& spec, const at::Tensor& q, std::int64_t dim) {
    return dim == std::int64_t{spec.key_dim()}
               ? q
               : q * std::sqrt(static_cast<double>(dim) / spec.key_dim());
}

/// [heads, nope + value, kv_rank] in the type of x.
at::Tensor weights_by_head(const LatentAttentionSpec& spec,
                           const Linear& key_value,
                           const at::Tensor& x) {
    return key_value.weight.to(x.scalar_type())
        .view({spec.heads, head_rows(spec), std::int64_t{spec.kv_rank}});
}

bool runs_in_kernel(const Linear& key_value, const at::Tensor& q) {
    const at::ScalarType type = key_value.weight.scalar_type();
    return q.is_cpu() && q.scalar_type() == at::kFloat && key_value.weight.is_contiguous() &&
           (type == at::kFloat || type == at::kBFloat16);
}

/// Queries [T, heads, D] carried over to the latents: [T, heads, kv_rank + rope].
at::Tensor absorb(const LatentAttentionSpec& spec, const Linear& key_value, const at::Tensor& q) {
    const at::Tensor weights = weights_by_head(spec, key_value, q).narrow(1, 0, spec.nope_dim);
    const at::Tensor latent =
        at::bmm(q.narrow(-1, 0, spec.nope_dim).transpose(0, 1), weights).transpose(0, 1);
    return at::cat({latent, q.narrow(-1, spec.nope_dim, spec.rope_dim)}, -1);
}

/// What heads took from the latents [T, heads, kv_rank] as values [T, heads, value].
at::Tensor release(const LatentAttentionSpec& spec,
                   const Linear& key_value,
                   const at::Tensor& context) {
    const at::Tensor weights =
        weights_by_head(spec, key_value, context).narrow(1, spec.nope_dim, spec.value_dim);
    return at::bmm(context.transpose(0, 1), weights.transpose(1, 2)).transpose(0, 1);
}

/// The rows of one head in the weights, from a row on.
template <class Value>
const Value* weight_rows(const LatentAttentionSpec& spec,
                         const Linear& key_value,
                         std::int64_t head,
                         std::int64_t row) {
    return static_cast<const Value*>(key_value.weight.const_data_ptr()) +
           (head * head_rows(spec) + row) * spec.kv_rank;
}

/// `absorb` with weights read once and as they lie. Shapes: as there; q contiguous.
template <class Value>
at::Tensor absorb_in_kernel(const LatentAttentionSpec& spec,
                            const Linear& key_value,
                            const at::Tensor& q) {
    const std::int64_t tokens = q.size(0);
    const std::int64_t rank = spec.kv_rank;
    const std::int64_t nope = spec.nope_dim;
    const at::Tensor rows = q.transpose(0, 1).contiguous();  // [heads, T, D]
    at::Tensor latent = at::zeros({spec.heads, tokens, rank}, q.options());
    at::parallel_for(0, spec.heads, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t head = begin; head < end; ++head) {
            cpu::group_sums(rows.const_data_ptr<float>() + head * tokens * rows.size(2),
                            weight_rows<Value>(spec, key_value, head, 0),
                            latent.mutable_data_ptr<float>() + head * tokens * rank,
                            {.group = static_cast<std::size_t>(tokens),
                             .count = static_cast<std::size_t>(nope),
                             .dim = static_cast<std::size_t>(rank),
                             .stride = static_cast<std::size_t>(rows.size(2))});
        }
    });
    return at::cat({latent.transpose(0, 1), q.narrow(-1, nope, spec.rope_dim)}, -1);
}

/// `release` in the same way.
template <class Value>
at::Tensor release_in_kernel(const LatentAttentionSpec& spec,
                             const Linear& key_value,
                             const at::Tensor& context) {
    const std::int64_t tokens = context.size(0);
    const std::int64_t width = spec.value_dim;
    const at::Tensor rows = context.transpose(0, 1).contiguous();  // [heads, T, kv_rank]
    at::Tensor values = at::empty({spec.heads, tokens, width}, context.options());
    at::parallel_for(0, spec.heads, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t head = begin; head < end; ++head) {
            cpu::group_scores(rows.const_data_ptr<float>() + head * tokens * rows.size(2),
                              weight_rows<Value>(spec, key_value, head, spec.nope_dim),
                              values.mutable_data_ptr<float>() + head * tokens * width,
                              {.group = static_cast<std::size_t>(tokens),
                               .count = static_cast<std::size_t>(width),
                               .dim = static_cast<std::size_t>(rows.size(2)),
                               .stride = static_cast<std::size_t>(width)});
        }
    });
    return values.transpose(0, 1);
}

/// Where no kernel runs: all scores at once, of as few tokens as `absorbs` lets in.
/// Shapes: q [T, heads, kv_rank + rope] -> [T, heads, kv_rank].
at::Tensor attend_by_products(const LatentAttentionSpec& spec,
                              const at::Tensor& q,
                              const KeyValueCache& cache) {
    const at::ScalarType type = q.is_cpu() ? q.scalar_type() : cache.type();
    const std::int64_t tokens = q.size(0);
    const std::int64_t end = cache.length();
    const at::Tensor rows = cache.gather(0, end, type).keys.squeeze(0);
    at::Tensor scores = at::matmul(q.reshape({-1, q.size(2)}).to(type), rows.t())
                            .to(q.scalar_type())
                            .view({tokens, q.size(1), end});
    scores = scores * (1.0 / std::sqrt(static_cast<double>(spec.key_dim())));
    if (tokens > 1) {
        const auto options = q.options().dtype(at::kLong);
        const at::Tensor position = at::arange(end - tokens, end, options).view({-1, 1, 1});
        scores.masked_fill_(at::arange(end, options) > position,
                            -std::numeric_limits<double>::infinity());
    }
    const at::Tensor weights = at::softmax(scores, -1).view({-1, end}).to(type);
    return at::matmul(weights, rows.narrow(-1, 0, spec.kv_rank))
        .to(q.scalar_type())
        .view({tokens, q.size(1), std::int64_t{spec.kv_rank}});
}

/// True where queries on the latents cost less than keys and values of all tokens. For each key and
/// head: 2 kv_rank + rope products a query, or 2 heads' widths a query and the expansion once.
bool absorbs(const LatentAttentionSpec& spec, const at::Tensor& q) {
    constexpr std::int64_t most_off_cpu = 4;  // all scores are in memory there
    const std::int64_t tokens = q.size(0);
    const std::int64_t rank = spec.kv_rank;
    const std::int64_t absorbed = tokens * (2 * rank + spec.rope_dim);
    const std::int64_t expanded = tokens * 2 * common_dim(spec) + rank * head_rows(spec);
    return absorbed <= expanded && (q.is_cpu() || tokens <= most_off_cpu);
}

/// Bytes of the keys and values that `attend_expanded` makes at a time, unless one head has more.
constexpr std::int64_t expanded_bytes = std::int64_t{1} << 28;

/// Keys and values of the heads [first, first + count) for all tokens of `latents`.
KeyValueCache expand_heads(const LatentAttentionSpec& spec,
                           const Linear& key_value,
                           const KeyValueCache& latents,
                           std::int64_t first,
                           std::int64_t count,
                           at::ScalarType type) {
    constexpr std::int64_t block = 1024;
    const std::int64_t rows = head_rows(spec);
    const std::int64_t dim = common_dim(spec);
    const Linear of_heads{.weight = key_value.weight.narrow(0, first * rows, count * rows)};
    KeyValueCache expanded(latents.type(), latents.page_length());
    for (std::int64_t at = 0; at < latents.length(); at += block) {
        const std::int64_t tokens = std::min(block, latents.length() - at);
        const at::Tensor cached =
            latents.gather(at, at + tokens, type).keys.squeeze(0);  // [tokens, kv_rank + rope]
        const at::Tensor both = apply(of_heads, cached.narrow(-1, 0, spec.kv_rank).contiguous())
                                    .view({tokens, count, rows});
        const at::Tensor shared = cached.narrow(-1, spec.kv_rank, spec.rope_dim)
                                      .unsqueeze(1)
                                      .expand({tokens, count, std::int64_t{spec.rope_dim}});
        expanded.append(widened(at::cat({both.narrow(-1, 0, spec.nope_dim), shared}, -1), dim),
                        widened(both.narrow(-1, spec.nope_dim, spec.value_dim), dim));
    }
    return expanded;
}

}  // namespace

at::Tensor attend_within_latents(const LatentAttentionSpec& spec,
                                 const at::Tensor& q,
                                 const at::Tensor& keys,
                                 const at::Tensor& values) {
    // The library's kernels that keep no scores want heads of one width.
    const std::int64_t dim = common_dim(spec);
    return attend_within(
               widened(scaled_for(spec, q, dim), dim), widened(keys, dim), widened(values, dim), {})
        .narrow(-1, 0, spec.value_dim);
}

at::Tensor attend_absorbed(const LatentAttentionSpec& spec,
                           const Linear& key_value,
                           const at::Tensor& q,
                           const KeyValueCache& cache) {
    const std::int64_t dim = spec.cached_dim();
    if (!runs_in_kernel(key_value, q)) {
        return release(
            spec, key_value, attend_by_products(spec, absorb(spec, key_value, q), cache));
    }
    const bool is_wide = key_value.weight.scalar_type() == at::kFloat;
    const at::Tensor queries = is_wide ? absorb_in_kernel<float>(spec, key_value, q)
                                       : absorb_in_kernel<cpu::Bf16>(spec, key_value, q);
    const at::Tensor context =
        attend_to_cache(scaled_for(spec, queries, dim), cache, {}).narrow(-1, 0, spec.kv_rank);
    return is_wide ? release_in_kernel<float>(spec, key_value, context)
                   : release_in_kernel<cpu::Bf16>(spec, key_value, context);
}

at::Tensor attend_expanded(const LatentAttentionSpec& spec,
                           const Linear& key_value,
                           const at::Tensor& q,
                           const KeyValueCache& cache) {
    const std::int64_t dim = common_dim(spec);
    const std::int64_t heads = spec.heads;
    const auto width = static_cast<std::int64_t>(at::elementSize(cache.type()));
    const std::int64_t step =
        std::clamp<std::int64_t>(expanded_bytes / (2 * dim * width * cache.length()), 1, heads);
    const at::Tensor queries = widened(scaled_for(spec, q, dim), dim);
    std::vector<at::Tensor> outputs;
    for (std::int64_t first = 0; first < heads; first += step) {
        const std::int64_t count = std::min(step, heads - first);
        const KeyValueCache expanded =
            expand_heads(spec, key_value, cache, first, count, q.scalar_type());
        outputs.push_back(attend_to_cache(queries.narrow(1, first, count), expanded, {})
                              .narrow(-1, 0, spec.value_dim));
    }
    return outputs.size() == 1 ? outputs.front() : at::cat(outputs, 1);
}

at::Tensor attend_to_latents(const LatentAttentionSpec& spec,
                             const Linear& key_value,
                             const at::Tensor& q,
                             const KeyValueCache& cache) {
    return absorbs(spec, q) ? attend_absorbed(spec, key_value, q, cache)
                            : attend_expanded(spec, key_value, q, cache);
}

}  // namespace anamnesis::runtime
