// SPDX-License-Identifier: Apache-2.0
#include "attention.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>

#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

/// Keys of one block, and rows (queries times heads that share keys) worked on against it: scores
/// of 256 x 256 floats stay in a core's cache between the two products.
constexpr std::int64_t block_keys = 256;
constexpr std::int64_t block_rows = 256;

/// [T, S]: true where the query at position first + t sees the key at position s.
at::Tensor visible(std::int64_t first,
                   std::int64_t queries,
                   std::int64_t keys,
                   const Visibility& visibility,
                   const at::Tensor& like) {
    const auto options = like.options().dtype(at::kLong);
    const at::Tensor query = at::arange(first, first + queries, options).unsqueeze(1);
    const at::Tensor key = at::arange(keys, options).unsqueeze(0);
    at::Tensor mask = key <= query;
    if (visibility.window) {
        mask = mask.logical_and(key > query - *visibility.window);
    }
    return mask;
}

/// One call of attention over a cache, on the CPU in float32.
class CacheAttention {
public:
    CacheAttention(const at::Tensor& q, const KeyValueCache& cache, const Visibility& visibility)
        : q_((q * (1.0 / std::sqrt(static_cast<double>(q.size(2))))).contiguous()),
          cache_(cache),
          window_(visibility.window.value_or(cache.length())),
          tokens_(q.size(0)),
          heads_(q.size(1)),
          dim_(q.size(2)),
          kv_heads_(cache.page(cache.page_count() - 1)->keys.size(0)),
          group_(heads_ / kv_heads_),
          first_position_(cache.length() - tokens_),
          output_(at::empty_like(q_)) {}

    at::Tensor run() {
        const std::int64_t tokens_per_task =
            tokens_ * group_ <= few_rows ? tokens_ : std::max<std::int64_t>(1, block_rows / group_);
        const std::int64_t parts = (tokens_ + tokens_per_task - 1) / tokens_per_task;
        // Whoever is free takes the next task, those with most to read first.
        std::atomic<std::int64_t> next{0};
        at::parallel_for(0, at::get_num_threads(), 1, [&](std::int64_t begin, std::int64_t end) {
            const at::NoGradGuard no_gradients;
            Scratch scratch = make_scratch(tokens_per_task * group_);
            for (std::int64_t worker = begin; worker < end; ++worker) {
                for (std::int64_t i = next++; i < parts * kv_heads_; i = next++) {
                    const std::int64_t first = (parts - 1 - i / kv_heads_) * tokens_per_task;
                    work({.kv_head = i % kv_heads_,
                          .first = first,
                          .count = std::min(tokens_per_task, tokens_ - first)},
                         scratch);
                }
            }
        });
        return output_;
    }

private:
    /// Few enough rows that reading keys and values is the work.
    static constexpr std::int64_t few_rows = 16;

    struct Task {
        std::int64_t kv_head = 0;
        std::int64_t first = 0;  ///< query token of this call
        std::int64_t count = 0;
    };

    struct Scratch {
        at::Tensor queries;  ///< [rows, D]
        at::Tensor scores;   ///< [rows, block_keys]
        at::Tensor sums;     ///< [rows, D]
        at::Tensor added;    ///< [rows, D]
        at::Tensor keys;     ///< [block_keys, D]
        at::Tensor values;
        std::vector<cpu::SoftmaxRow> rows;
    };

    Scratch make_scratch(std::int64_t rows) const {
        const auto options = q_.options();
        return {.queries = at::empty({rows, dim_}, options),
                .scores = at::empty({rows, block_keys}, options),
                .sums = at::empty({rows, dim_}, options),
                .added = at::empty({rows, dim_}, options),
                .keys = at::empty({block_keys, dim_}, options),
                .values = at::empty({block_keys, dim_}, options),
                .rows = std::vector<cpu::SoftmaxRow>(static_cast<std::size_t>(rows))};
    }

    float* output_row(const Task& task, std::int64_t row) {
        const std::int64_t token = task.first + row / group_;
        const std::int64_t head = task.kv_head * group_ + row % group_;
        return output_.mutable_data_ptr<float>() + (token * heads_ + head) * dim_;
    }

    const float* query_row(const Task& task, std::int64_t row) const {
        const std::int64_t token = task.first + row / group_;
        const std::int64_t head = task.kv_head * group_ + row % group_;
        return q_.const_data_ptr<float>() + (token * heads_ + head) * dim_;
    }

    void work(const Task& task, Scratch& scratch) {
        const std::int64_t rows = task.count * group_;
        auto* queries = scratch.queries.mutable_data_ptr<float>();
        for (std::int64_t row = 0; row < rows; ++row) {
            std::copy_n(query_row(task, row), dim_, queries + row * dim_);
        }
        scratch.sums.zero_();
        std::fill(scratch.rows.begin(), scratch.rows.end(), cpu::SoftmaxRow{});
        const std::int64_t first_query = first_position_ + task.first;
        const std::int64_t begin = std::max<std::int64_t>(0, first_query - window_ + 1);
        const std::int64_t end = first_query + task.count;
        for (std::int64_t key = begin / block_keys * block_keys; key < end; key += block_keys) {
            add_block(task, key, std::min(block_keys, end - key), scratch);
        }
        const auto* sums = scratch.sums.const_data_ptr<float>();
        for (std::int64_t row = 0; row < rows; ++row) {
            const float factor = 1.0F / scratch.rows[static_cast<std::size_t>(row)].sum;
            float* target = output_row(task, row);
            std::copy_n(sums + row * dim_, dim_, target);
            cpu::scale(target, factor, static_cast<std::size_t>(dim_));
        }
    }

    /// Keys [key, key + count) of one head; a block never crosses a page.
    void add_block(const Task& task, std::int64_t key, std::int64_t count, Scratch& scratch) {
        const KeyValueCache::Page& page = *cache_.page(key / cache_.page_length());
        const std::int64_t first = key % cache_.page_length();
        const at::Tensor keys = page.keys.select(0, task.kv_head).narrow(0, first, count);
        const at::Tensor values = page.values.select(0, task.kv_head).narrow(0, first, count);
        const std::int64_t rows = task.count * group_;
        if (rows <= few_rows && cache_.type() == at::kBFloat16) {
            read_once(task,
                      key,
                      scratch,
                      static_cast<const cpu::Bf16*>(keys.const_data_ptr()),
                      static_cast<const cpu::Bf16*>(values.const_data_ptr()),
                      count);
            return;
        }
        if (rows <= few_rows && cache_.type() == at::kFloat) {
            read_once(task,
                      key,
                      scratch,
                      keys.const_data_ptr<float>(),
                      values.const_data_ptr<float>(),
                      count);
            return;
        }
        at::Tensor scores = scratch.scores.narrow(0, 0, rows).narrow(1, 0, count);
        at::mm_out(scores, scratch.queries.narrow(0, 0, rows), widened(keys, scratch.keys).t());
        advance(task, key, count, scratch);
        at::Tensor sums = scratch.sums.narrow(0, 0, rows);
        sums.addmm_(scores, widened(values, scratch.values));
    }

    /// Scores become weights, and earlier sums shrink to the new maximum.
    void advance(const Task& task, std::int64_t key, std::int64_t count, Scratch& scratch) {
        auto* scores = scratch.scores.mutable_data_ptr<float>();
        auto* sums = scratch.sums.mutable_data_ptr<float>();
        for (std::int64_t row = 0; row < task.count * group_; ++row) {
            const std::int64_t position = first_position_ + task.first + row / group_;
            const std::int64_t begin =
                std::clamp<std::int64_t>(position - window_ + 1 - key, 0, count);
            const std::int64_t end = std::clamp<std::int64_t>(position + 1 - key, 0, count);
            const float shrink = cpu::advance_softmax(scratch.rows[static_cast<std::size_t>(row)],
                                                      scores + row * block_keys,
                                                      static_cast<std::size_t>(begin),
                                                      static_cast<std::size_t>(end),
                                                      static_cast<std::size_t>(count));
            if (shrink != 1.0F) {
                cpu::scale(sums + row * dim_, shrink, static_cast<std::size_t>(dim_));
            }
        }
    }

    template <class Value>
    void read_once(const Task& task,
                   std::int64_t key,
                   Scratch& scratch,
                   const Value* keys,
                   const Value* values,
                   std::int64_t count) {
        const cpu::KeyBlock block{.group = static_cast<std::size_t>(task.count * group_),
                                  .count = static_cast<std::size_t>(count),
                                  .dim = static_cast<std::size_t>(dim_),
                                  .stride = block_keys};
        auto* scores = scratch.scores.mutable_data_ptr<float>();
        cpu::group_scores(scratch.queries.const_data_ptr<float>(), keys, scores, block);
        advance(task, key, count, scratch);
        cpu::group_sums(scores, values, scratch.sums.mutable_data_ptr<float>(), block);
    }

    static at::Tensor widened(const at::Tensor& source, at::Tensor& target) {
        if (source.scalar_type() == at::kFloat) {
            return source;
        }
        at::Tensor block = target.narrow(0, 0, source.size(0));
        if (source.scalar_type() == at::kBFloat16) {
            cpu::widen(static_cast<const cpu::Bf16*>(source.const_data_ptr()),
                       block.mutable_data_ptr<float>(),
                       static_cast<std::size_t>(source.numel()));
        } else {
            block.copy_(source);
        }
        return block;
    }

    at::Tensor q_;
    const KeyValueCache& cache_;
    std::int64_t window_;
    std::int64_t tokens_;
    std::int64_t heads_;
    std::int64_t dim_;
    std::int64_t kv_heads_;
    std::int64_t group_;
    std::int64_t first_position_;
    at::Tensor output_;
};

/// On accelerators the library's fused kernel, a piece of the queries at a time.
at::Tensor attend_to_gathered(const at::Tensor& q,
                              const KeyValueCache& cache,
                              const Visibility& visibility) {
    const std::int64_t end = cache.length();
    const std::int64_t first_query = end - q.size(0);
    const std::int64_t begin =
        visibility.window ? std::max<std::int64_t>(0, first_query - *visibility.window + 1) : 0;
    const at::ScalarType type = q.is_cpu() ? q.scalar_type() : cache.type();
    const KeyValueCache::Page all = cache.gather(begin, end, type);
    const at::Tensor queries = q.transpose(0, 1).unsqueeze(0).to(type);
    const at::Tensor mask = visible(first_query - begin, q.size(0), end - begin, visibility, q);
    const bool sees_all = q.size(0) == 1;
    const at::Tensor y =
        at::scaled_dot_product_attention(queries,
                                         all.keys.unsqueeze(0),
                                         all.values.unsqueeze(0),
                                         sees_all ? std::nullopt : std::optional<at::Tensor>(mask),
                                         /*dropout_p=*/0.0,
                                         /*is_causal=*/false,
                                         /*scale=*/std::nullopt,
                                         /*enable_gqa=*/true);
    return y.squeeze(0).transpose(0, 1).to(q.scalar_type());
}

}  // namespace

at::Tensor attend_within(const at::Tensor& q,
                         const at::Tensor& k,
                         const at::Tensor& v,
                         const Visibility& visibility) {
    const std::int64_t length = q.size(1);
    const bool is_causal = !visibility.window || *visibility.window >= length;
    std::optional<at::Tensor> mask;
    if (!is_causal) {
        mask = visible(0, length, length, visibility, q);
    }
    return at::scaled_dot_product_attention(q.transpose(1, 2),
                                            k.transpose(1, 2),
                                            v.transpose(1, 2),
                                            mask,
                                            /*dropout_p=*/0.0,
                                            is_causal,
                                            /*scale=*/std::nullopt,
                                            /*enable_gqa=*/true)
        .transpose(1, 2);
}

at::Tensor attend_to_cache(const at::Tensor& q,
                           const KeyValueCache& cache,
                           const Visibility& visibility) {
    if (q.is_cpu() && q.scalar_type() == at::kFloat) {
        return CacheAttention(q, cache, visibility).run();
    }
    return attend_to_gathered(q, cache, visibility);
}

at::Tensor naive_attention(const at::Tensor& q,
                           const at::Tensor& keys,
                           const at::Tensor& values,
                           const Visibility& visibility) {
    const std::int64_t group = q.size(1) / keys.size(0);
    const at::Tensor k = keys.repeat_interleave(group, 0);
    const at::Tensor v = values.repeat_interleave(group, 0);
    const at::Tensor mask =
        visible(keys.size(1) - q.size(0), q.size(0), keys.size(1), visibility, q);
    at::Tensor scores = at::matmul(q.transpose(0, 1), k.transpose(-1, -2)) /
                        std::sqrt(static_cast<double>(q.size(2)));
    scores = scores.masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity());
    return at::matmul(at::softmax(scores, -1), v).transpose(0, 1);
}

}  // namespace anamnesis::runtime
