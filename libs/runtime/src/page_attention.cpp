// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/ops/empty_like.h>

#include "cache_attention.hpp"
#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

/// Few enough rows that reading keys and values is the work.
constexpr std::int64_t most_rows = 16;
/// Keys whose scores are held at once.
constexpr std::int64_t block_keys = 1024;

/// One sequence of a call: a task for each of its kv heads and pages.
template <class Value>
class PagedSequence {
public:
    /// `q` and `output` are [T, heads, D].
    PagedSequence(const AttentionShape& shape,
                  const KeyValueCache& cache,
                  const float* q,
                  float* output)
        : shape_(shape),
          cache_(cache),
          output_(output),
          count_(shape.tokens * shape.group),
          first_page_(std::max<std::int64_t>(0, shape.position(0) - shape.window + 1) /
                      cache.page_length()),
          pages_(cache.page_count() - first_page_),
          queries_(static_cast<std::size_t>(shape.kv_heads * count_ * shape.dim)),
          parts_(static_cast<std::size_t>(shape.kv_heads * pages_)) {
        const auto dim = static_cast<std::size_t>(shape.dim);
        const float scale = 1.0F / std::sqrt(static_cast<float>(shape.dim));
        for (std::int64_t i = 0; i < shape.kv_heads * count_; ++i) {
            float* query = queries_.data() + i * shape.dim;
            std::copy_n(q + shape.offset(i / count_, i % count_), dim, query);
            cpu::scale(query, scale, dim);
        }
    }

    std::int64_t count_tasks() const { return shape_.kv_heads * pages_; }

    /// `scores` has room for `block_keys` of every row.
    void run_task(std::int64_t task, float* scores) {
        parts_[static_cast<std::size_t>(task)] =
            read(task / pages_, first_page_ + task % pages_, scores);
    }

    void join_pages() const {
        for (std::int64_t i = 0; i < shape_.kv_heads * count_; ++i) {
            join(std::span(parts_).subspan(static_cast<std::size_t>(i / count_ * pages_),
                                           static_cast<std::size_t>(pages_)),
                 shape_.begin_softmax(i / count_, i % count_),
                 static_cast<std::size_t>(i % count_),
                 static_cast<std::size_t>(shape_.dim),
                 output_ + shape_.offset(i / count_, i % count_));
        }
    }

private:
    /// What a kv head sees of a page.
    SeenKeys read(std::int64_t kv_head, std::int64_t page, float* scores) const {
        SeenKeys part(count_, shape_.dim);
        const std::int64_t first = page * cache_.page_length();
        const std::int64_t begin = std::max(first, shape_.position(0) - shape_.window + 1);
        const std::int64_t end =
            std::min(first + cache_.page_length(), shape_.position(count_ - 1) + 1);
        for (std::int64_t key = begin; key < end; key += block_keys) {
            add_block(part, kv_head, page, key, std::min(block_keys, end - key), scores);
        }
        return part;
    }

    void add_block(SeenKeys& part,
                   std::int64_t kv_head,
                   std::int64_t page,
                   std::int64_t key,
                   std::int64_t count,
                   float* scores) const {
        const KeyValueCache::Page& source = *cache_.page(page);
        const std::int64_t first = key % cache_.page_length();
        const cpu::KeyBlock block{.group = static_cast<std::size_t>(count_),
                                  .count = static_cast<std::size_t>(count),
                                  .dim = static_cast<std::size_t>(shape_.dim),
                                  .stride = block_keys};
        cpu::group_scores(queries_.data() + kv_head * count_ * shape_.dim,
                          head_rows<Value>(source.keys, kv_head, first),
                          scores,
                          block);
        for (std::int64_t row = 0; row < count_; ++row) {
            weigh(part, kv_head, row, key, count, scores + row * block_keys);
        }
        cpu::group_sums(
            scores, head_rows<Value>(source.values, kv_head, first), part.sums.data(), block);
    }

    /// Scores become weights, and earlier sums shrink to the new maximum.
    void weigh(SeenKeys& part,
               std::int64_t kv_head,
               std::int64_t row,
               std::int64_t key,
               std::int64_t count,
               float* scores) const {
        const std::int64_t position = shape_.position(row);
        const auto within = [&](std::int64_t seen) {
            return static_cast<std::size_t>(std::clamp<std::int64_t>(seen - key, 0, count));
        };
        shape_.adjust(scores, kv_head, row, key, count);
        const float shrink = cpu::advance_softmax(part.rows[static_cast<std::size_t>(row)],
                                                  scores,
                                                  within(position - shape_.window + 1),
                                                  within(position + 1),
                                                  static_cast<std::size_t>(count));
        if (shrink != 1.0F) {
            cpu::scale(
                part.sums.data() + row * shape_.dim, shrink, static_cast<std::size_t>(shape_.dim));
        }
    }

    AttentionShape shape_;
    const KeyValueCache& cache_;
    float* output_;
    std::int64_t count_, first_page_, pages_;
    std::vector<float> queries_;  ///< [kv_heads, rows, D], scaled
    std::vector<SeenKeys> parts_;
};

template <class Value>
at::Tensor attend(const at::Tensor& q,
                  std::span<const KeyValueCache* const> caches,
                  const AttentionOptions& options) {
    at::Tensor output = at::empty_like(q);
    const std::int64_t values = q.numel() / q.size(0);
    const at::Tensor first = q.select(0, 0);  // the others have its shape
    std::vector<PagedSequence<Value>> sequences;
    std::vector<std::int64_t> ends;
    std::int64_t tasks = 0;
    for (std::size_t b = 0; b < caches.size(); ++b) {
        const auto row = static_cast<std::int64_t>(b);
        const AttentionShape shape(first, *caches[b], options);
        sequences.emplace_back(shape,
                               *caches[b],
                               q.const_data_ptr<float>() + row * values,
                               output.mutable_data_ptr<float>() + row * values);
        tasks += sequences.back().count_tasks();
        ends.push_back(tasks);
    }
    const auto scores = static_cast<std::size_t>(most_rows * block_keys);
    share_tasks(tasks, [&] {
        const auto held = std::make_shared<std::vector<float>>(scores);
        return [held, &sequences, &ends](std::int64_t task) {
            const auto b =
                static_cast<std::size_t>(std::ranges::upper_bound(ends, task) - ends.begin());
            sequences[b].run_task(b == 0 ? task : task - ends[b - 1], held->data());
        };
    });
    for (const PagedSequence<Value>& sequence : sequences) {
        sequence.join_pages();
    }
    return output;
}

}  // namespace

bool can_attend_by_pages(const at::Tensor& q, const KeyValueCache& cache) {
    const AttentionShape shape(q, cache, {});
    return shape.tokens * shape.group <= most_rows &&
           (cache.type() == at::kBFloat16 || cache.type() == at::kFloat);
}

at::Tensor attend_by_pages(const at::Tensor& q,
                           std::span<const KeyValueCache* const> caches,
                           const AttentionOptions& options) {
    const at::Tensor queries = q.contiguous();
    return caches.front()->type() == at::kFloat ? attend<float>(queries, caches, options)
                                                : attend<cpu::Bf16>(queries, caches, options);
}

}  // namespace anamnesis::runtime
