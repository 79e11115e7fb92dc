// SPDX-License-Identifier: Apache-2.0
#include "attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include <ATen/SDPBackend.h>
#include <ATen/ops/_fused_sdp_choice.h>
#include <ATen/ops/_scaled_dot_product_flash_attention.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>

#include "cache_attention.hpp"
#include "differentiable.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

/// [T, S]: true where the query at position first + t sees the key at position s.
at::Tensor visible(std::int64_t first,
                   std::int64_t queries,
                   std::int64_t keys,
                   const AttentionOptions& options,
                   const at::Tensor& like) {
    const auto whole = like.options().dtype(at::kLong);
    const at::Tensor query = at::arange(first, first + queries, whole).unsqueeze(1);
    const at::Tensor key = at::arange(keys, whole).unsqueeze(0);
    at::Tensor mask = key <= query;
    if (options.window) {
        mask = mask.logical_and(key > query - *options.window);
    }
    return mask;
}

/// Key or value heads as many times as query heads share them. On accelerators the library's
/// kernels that keep no scores want that, except flash attention.
at::Tensor for_each_query_head(const at::Tensor& heads, std::int64_t dim, std::int64_t group) {
    return group == 1 ? heads : heads.repeat_interleave(group, dim);
}

/// True where the softmax is of more than scaled products, which the library's kernels do not know.
bool needs_scores(const AttentionOptions& options) {
    return options.sinks.defined() || options.softcap || options.slopes.defined();
}

/// All scores of a block of queries at once, before the mask. The query t is at the position
/// first + t of the keys.
/// Shapes: q [..., heads, T, D], k [..., heads, S, D] -> [..., heads, T, S].
at::Tensor make_scores(const at::Tensor& q,
                       const at::Tensor& k,
                       std::int64_t first,
                       const AttentionOptions& options) {
    at::Tensor scores =
        at::matmul(q, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(-1)));
    if (options.softcap) {
        scores = at::tanh(scores / *options.softcap) * *options.softcap;
    }
    if (options.slopes.defined()) {
        const at::Tensor distance =
            at::arange(first, first + q.size(-2), q.options()).unsqueeze(1) -
            at::arange(k.size(-2), q.options()).unsqueeze(0);
        scores = scores - options.slopes.to(q.options()).view({-1, 1, 1}) * distance;
    }
    return scores;
}

/// What options say of scores, which are all there. The query t is at the position first + t of the
/// keys.
/// Shapes: q [B, heads, T, D], k, v [B, kv_heads, S, D] -> [B, heads, T, D].
at::Tensor attend_by_scores(const at::Tensor& q,
                            const at::Tensor& k,
                            const at::Tensor& v,
                            std::int64_t first,
                            const AttentionOptions& options) {
    const std::int64_t group = q.size(1) / k.size(1);
    const at::Tensor keys = for_each_query_head(k, 1, group);
    const at::Tensor values = for_each_query_head(v, 1, group);
    const at::Tensor mask = visible(first, q.size(2), keys.size(2), options, q);
    const at::Tensor scores =
        make_scores(q, keys, first, options)
            .masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity());
    if (!options.sinks.defined()) {
        return at::matmul(at::softmax(scores, -1), values);
    }
    const at::Tensor sink =
        options.sinks.to(q.options()).view({1, -1, 1, 1}).expand({q.size(0), -1, q.size(2), -1});
    const at::Tensor weights = at::softmax(at::cat({scores, sink}, -1), -1);
    return at::matmul(weights.narrow(-1, 0, keys.size(2)), values);
}

/// True where the library would take its flash kernel, which lays the causal mask of fewer queries
/// than keys to the right, as `attend_to_cache` wants it; scaled_dot_product_attention lays it
/// left.
bool takes_flash_kernel(const at::Tensor& q, const KeyValueCache::Page& all) {
    constexpr std::int64_t dims = 8;  // of a head: their divisor
    if (!q.is_cuda() || q.size(-1) % dims != 0) {
        return false;
    }
    const auto choice = static_cast<at::SDPBackend>(at::_fused_sdp_choice(q,
                                                                          all.keys,
                                                                          all.values,
                                                                          std::nullopt,
                                                                          /*dropout_p=*/0.0,
                                                                          /*is_causal=*/false,
                                                                          std::nullopt,
                                                                          /*enable_gqa=*/true));
    return choice == at::SDPBackend::flash_attention || choice == at::SDPBackend::cudnn_attention;
}

/// What `attend_to_cache` does by the library's kernels.
at::Tensor attend_to_gathered(const at::Tensor& q,
                              const KeyValueCache& cache,
                              const AttentionOptions& options) {
    const std::int64_t end = cache.length();
    const std::int64_t first_query = end - q.size(0);
    const std::int64_t begin =
        options.window ? std::max<std::int64_t>(0, first_query - *options.window + 1) : 0;
    const at::ScalarType type = q.is_cpu() ? q.scalar_type() : cache.type();
    const at::Tensor queries = q.transpose(0, 1).unsqueeze(0).to(type);
    const KeyValueCache::Page gathered = cache.gather(begin, end, type);
    const KeyValueCache::Page all{.keys = gathered.keys.unsqueeze(0),
                                  .values = gathered.values.unsqueeze(0)};
    const auto in_rows = [&](const at::Tensor& y) {
        return y.squeeze(0).transpose(0, 1).to(q.scalar_type());
    };
    if (needs_scores(options)) {
        return in_rows(
            attend_by_scores(queries, all.keys, all.values, first_query - begin, options));
    }
    if (!options.window && takes_flash_kernel(queries, all)) {
        return in_rows(std::get<0>(at::_scaled_dot_product_flash_attention(
            queries, all.keys, all.values, /*dropout_p=*/0.0, /*is_causal=*/true)));
    }
    const std::int64_t group = q.size(1) / gathered.keys.size(0);
    const bool sees_all = q.size(0) == 1;
    return in_rows(at::scaled_dot_product_attention(
        queries,
        for_each_query_head(all.keys, 1, group),
        for_each_query_head(all.values, 1, group),
        sees_all
            ? std::nullopt
            : std::optional(visible(first_query - begin, q.size(0), end - begin, options, q))));
}

}  // namespace

at::Tensor attend_within(const at::Tensor& q,
                         const at::Tensor& k,
                         const at::Tensor& v,
                         const AttentionOptions& options) {
    const std::int64_t length = q.size(1);
    const std::int64_t group = q.is_cpu() ? 1 : q.size(2) / k.size(2);
    const auto attend = [&](const at::Tensor& queries,
                            const at::Tensor& keys,
                            const at::Tensor& values,
                            const std::optional<at::Tensor>& mask) {
        return at::scaled_dot_product_attention(
                   queries.transpose(1, 2),
                   for_each_query_head(keys, 2, group).transpose(1, 2),
                   for_each_query_head(values, 2, group).transpose(1, 2),
                   mask,
                   /*dropout_p=*/0.0,
                   /*is_causal=*/!mask,
                   /*scale=*/std::nullopt,
                   /*enable_gqa=*/true)
            .transpose(1, 2);
    };
    if (options.may_round && !needs_scores(options) && differentiable::can_attend(q, v)) {
        return differentiable::attend(q, k, v, options.window);
    }
    const std::int64_t window = options.window.value_or(length);
    if (window >= length && !needs_scores(options)) {
        return attend(q, k, v, std::nullopt);
    }
    // The mask of a whole text would be as large as all its logits.
    constexpr std::int64_t block = 1024;
    std::vector<at::Tensor> blocks;
    for (std::int64_t first = 0; first < length; first += block) {
        const std::int64_t queries = std::min(block, length - first);
        const std::int64_t begin = std::max<std::int64_t>(0, first - window + 1);
        const std::int64_t keys = first + queries - begin;
        const at::Tensor block_q = q.narrow(1, first, queries);
        const at::Tensor block_k = k.narrow(1, begin, keys);
        const at::Tensor block_v = v.narrow(1, begin, keys);
        blocks.push_back(needs_scores(options)
                             ? attend_by_scores(block_q.transpose(1, 2),
                                                block_k.transpose(1, 2),
                                                block_v.transpose(1, 2),
                                                first - begin,
                                                options)
                                   .transpose(1, 2)
                             : attend(block_q,
                                      block_k,
                                      block_v,
                                      visible(first - begin, queries, keys, options, q)));
    }
    return blocks.size() == 1 ? blocks.front() : at::cat(blocks, 1);
}

at::Tensor attend_to_cache(const at::Tensor& q,
                           const KeyValueCache& cache,
                           const AttentionOptions& options) {
    if (q.is_cpu() && q.scalar_type() == at::kFloat) {
        if (can_attend_by_pages(q, cache)) {
            const KeyValueCache* const only = &cache;
            return attend_by_pages(q.unsqueeze(0), std::span(&only, 1), options).squeeze(0);
        }
        const bool fits_tiles =
            !options.softcap && !options.slopes.defined() && can_attend_in_tiles(q, cache);
        return fits_tiles ? attend_in_tiles(q, cache, options)
                          : attend_in_blocks(q, cache, options);
    }
    return attend_to_gathered(q, cache, options);
}

at::Tensor attend_to_caches(const at::Tensor& q,
                            std::span<const KeyValueCache* const> caches,
                            const AttentionOptions& options) {
    const auto row = [&](std::size_t b) { return q.select(0, static_cast<std::int64_t>(b)); };
    const at::Tensor first = row(0);  // the others have its shape
    const bool are_read_together =
        q.is_cpu() && q.scalar_type() == at::kFloat &&
        std::ranges::all_of(caches, [&](const KeyValueCache* cache) {
            return can_attend_by_pages(first, *cache) && cache->type() == caches.front()->type();
        });
    if (are_read_together) {
        return attend_by_pages(q, caches, options);
    }
    std::vector<at::Tensor> rows;
    for (std::size_t b = 0; b < caches.size(); ++b) {
        rows.push_back(attend_to_cache(row(b), *caches[b], options));
    }
    return rows.size() == 1 ? rows.front().unsqueeze(0) : at::stack(rows);
}

at::Tensor naive_attention(const at::Tensor& q,
                           const at::Tensor& keys,
                           const at::Tensor& values,
                           const AttentionOptions& options) {
    const std::int64_t group = q.size(1) / keys.size(0);
    const at::Tensor k = keys.repeat_interleave(group, 0);
    const at::Tensor v = values.repeat_interleave(group, 0);
    const at::Tensor mask = visible(keys.size(1) - q.size(0), q.size(0), keys.size(1), options, q);
    at::Tensor scores = make_scores(q.transpose(0, 1), k, keys.size(1) - q.size(0), options);
    scores = scores.masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity());
    if (options.sinks.defined()) {
        const at::Tensor sink = options.sinks.to(scores.options()).view({-1, 1, 1});
        const at::Tensor weights =
            at::softmax(at::cat({scores, sink.expand({-1, scores.size(1), 1})}, -1), -1);
        return at::matmul(weights.narrow(-1, 0, scores.size(2)), v).transpose(0, 1);
    }
    return at::matmul(at::softmax(scores, -1), v).transpose(0, 1);
}

}  // namespace anamnesis::runtime
