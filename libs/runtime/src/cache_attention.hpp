// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "attention.hpp"
#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {

/// Attention over a cache on the CPU.
/// Shapes: q [T, heads, D] float32, the last T tokens of the cache -> the same.

/// In float32: blocks of keys and values go through products of matrices.
at::Tensor attend_in_blocks(const at::Tensor& q,
                            const KeyValueCache& cache,
                            const AttentionOptions& options);

/// On bfloat16 products: q is rounded to bfloat16, and so are the weights of the values.
at::Tensor attend_in_tiles(const at::Tensor& q,
                           const KeyValueCache& cache,
                           const AttentionOptions& options);
/// True where tiles are possible and faster.
bool can_attend_in_tiles(const at::Tensor& q, const KeyValueCache& cache);

/// In float32, for few queries: keys and values are read once and as they lie, each page of each
/// sequence by itself. Caches are of one type.
/// Shapes: q [B, T, heads, D] -> the same.
at::Tensor attend_by_pages(const at::Tensor& q,
                           std::span<const KeyValueCache* const> caches,
                           const AttentionOptions& options);
/// True where reading them is the work. Shapes: q [T, heads, D].
bool can_attend_by_pages(const at::Tensor& q, const KeyValueCache& cache);

/// What all know of a call. Rows are the queries of one kv head: token by token, in each token
/// head by head.
struct AttentionShape {
    AttentionShape(const at::Tensor& q, const KeyValueCache& cache, const AttentionOptions& options)
        : tokens(q.size(0)),
          heads(q.size(1)),
          dim(q.size(2)),
          kv_heads(cache.page(cache.page_count() - 1)->keys.size(0)),
          group(heads / kv_heads),
          first_position(cache.length() - tokens),
          window(std::min(options.window.value_or(cache.length()), cache.length())),
          sinks(options.sinks.defined() ? options.sinks.const_data_ptr<float>() : nullptr),
          slopes(options.slopes.defined() ? options.slopes.const_data_ptr<float>() : nullptr),
          softcap(static_cast<float>(options.softcap.value_or(0.0))) {}

    /// Offset of a row in q and in the output.
    std::int64_t offset(std::int64_t kv_head, std::int64_t row) const {
        return (row / group * heads + kv_head * group + row % group) * dim;
    }
    std::int64_t position(std::int64_t row) const { return first_position + row / group; }

    /// The softmax of a row before its first key; of stretches only the first begins with it.
    cpu::SoftmaxRow begin_softmax(std::int64_t kv_head, std::int64_t row) const {
        return sinks == nullptr
                   ? cpu::SoftmaxRow{}
                   : cpu::SoftmaxRow{.maximum = sinks[kv_head * group + row % group], .sum = 1.0F};
    }

    /// Scores of a row with `count` keys from the position `key` on become what the softmax is of.
    void adjust(float* scores,
                std::int64_t kv_head,
                std::int64_t row,
                std::int64_t key,
                std::int64_t count) const {
        if (softcap != 0.0F) {
            cpu::softcap(scores, softcap, static_cast<std::size_t>(count));
        }
        if (slopes != nullptr) {
            const float slope = slopes[kv_head * group + row % group];
            const std::int64_t distance = position(row) - key;
            for (std::int64_t i = 0; i < count; ++i) {
                scores[i] -= slope * static_cast<float>(distance - i);
            }
        }
    }

    std::int64_t tokens, heads, dim, kv_heads, group, first_position, window;
    const float* sinks;   ///< [heads], or null
    const float* slopes;  ///< the same
    float softcap;        ///< 0: none
};

/// What rows have seen of some of their keys. A running softmax needs no order: where few heads
/// would leave threads idle, stretches of keys are tasks of their own, and are joined at the end.
struct SeenKeys {
    SeenKeys(std::int64_t count, std::int64_t dim)
        : rows(static_cast<std::size_t>(count)), sums(static_cast<std::size_t>(count * dim)) {}
    SeenKeys() = default;

    std::vector<cpu::SoftmaxRow> rows;
    std::vector<float> sums;  ///< [rows, D], of values times exp(score - maximum)
};
/// target = the sums of all parts, under their common maximum, over the sum of all weights, of
/// which `begun` are there before the first part.
void join(std::span<const SeenKeys> parts,
          const cpu::SoftmaxRow& begun,
          std::size_t row,
          std::size_t dim,
          float* target);

/// Rows of one kv head and the keys that they meet.
struct AttentionTask {
    std::int64_t kv_head = 0;
    std::int64_t first = 0;  ///< row
    std::int64_t rows = 0;
    std::int64_t begin = 0;  ///< keys
    std::int64_t end = 0;
};
/// What a thread does for a task: outputs of its rows, or, where another place is given, what they
/// have seen.
using AttentionWork = std::function<void(const AttentionTask& task, SeenKeys* seen)>;

/// Divides a call into tasks of at most `most` rows, and into stretches of keys where that leaves
/// threads idle. `make_work` is called by each thread that takes part.
void share_attention(const AttentionShape& shape,
                     const KeyValueCache& cache,
                     std::int64_t most,
                     float* output,
                     const std::function<AttentionWork()>& make_work);

/// The rows of one kv head in a page, from a position on.
template <class Value>
const Value* head_rows(const at::Tensor& page, std::int64_t kv_head, std::int64_t first) {
    return static_cast<const Value*>(page.const_data_ptr()) +
           (kv_head * page.size(1) + first) * page.size(2);
}

/// Runs tasks [0, count) on all threads; whoever is free takes the next. `make_worker` makes what
/// a thread calls for each of its tasks.
void share_tasks(std::int64_t count,
                 const std::function<std::function<void(std::int64_t)>()>& make_worker);

}  // namespace anamnesis::runtime
