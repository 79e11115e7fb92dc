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

template <class Value>
class PageReader {
public:
    PageReader(const AttentionShape& shape, const KeyValueCache& cache, const float* queries)
        : shape_(shape),
          cache_(cache),
          queries_(queries),
          count_(shape.tokens * shape.group),
          scores_(static_cast<std::size_t>(count_ * block_keys)) {}

    SeenKeys read(std::int64_t kv_head, std::int64_t page) {
        SeenKeys part(count_, shape_.dim);
        const std::int64_t first = page * cache_.page_length();
        const std::int64_t begin = std::max(first, shape_.position(0) - shape_.window + 1);
        const std::int64_t end =
            std::min(first + cache_.page_length(), shape_.position(count_ - 1) + 1);
        for (std::int64_t key = begin; key < end; key += block_keys) {
            add_block(part, kv_head, page, key, std::min(block_keys, end - key));
        }
        return part;
    }

private:
    void add_block(SeenKeys& part,
                   std::int64_t kv_head,
                   std::int64_t page,
                   std::int64_t key,
                   std::int64_t count) {
        const KeyValueCache::Page& source = *cache_.page(page);
        const std::int64_t first = key % cache_.page_length();
        const cpu::KeyBlock block{.group = static_cast<std::size_t>(count_),
                                  .count = static_cast<std::size_t>(count),
                                  .dim = static_cast<std::size_t>(shape_.dim),
                                  .stride = block_keys};
        cpu::group_scores(queries_ + kv_head * count_ * shape_.dim,
                          head_rows<Value>(source.keys, kv_head, first),
                          scores_.data(),
                          block);
        for (std::int64_t row = 0; row < count_; ++row) {
            weigh(part, kv_head, row, key, count);
        }
        cpu::group_sums(scores_.data(),
                        head_rows<Value>(source.values, kv_head, first),
                        part.sums.data(),
                        block);
    }

    /// Scores become weights, and earlier sums shrink to the new maximum.
    void weigh(SeenKeys& part,
               std::int64_t kv_head,
               std::int64_t row,
               std::int64_t key,
               std::int64_t count) {
        const std::int64_t position = shape_.position(row);
        const auto within = [&](std::int64_t seen) {
            return static_cast<std::size_t>(std::clamp<std::int64_t>(seen - key, 0, count));
        };
        shape_.adjust(scores_.data() + row * block_keys, kv_head, row, key, count);
        const float shrink = cpu::advance_softmax(part.rows[static_cast<std::size_t>(row)],
                                                  scores_.data() + row * block_keys,
                                                  within(position - shape_.window + 1),
                                                  within(position + 1),
                                                  static_cast<std::size_t>(count));
        if (shrink != 1.0F) {
            cpu::scale(
                part.sums.data() + row * shape_.dim, shrink, static_cast<std::size_t>(shape_.dim));
        }
    }

    const AttentionShape& shape_;
    const KeyValueCache& cache_;
    const float* queries_;  ///< [kv_heads, rows, D], scaled
    std::int64_t count_;
    std::vector<float> scores_;  ///< [rows, block_keys]
};

template <class Value>
at::Tensor attend(const at::Tensor& q, const KeyValueCache& cache, const AttentionShape& shape) {
    const std::int64_t count = shape.tokens * shape.group;
    const auto dim = static_cast<std::size_t>(shape.dim);
    const float scale = 1.0F / std::sqrt(static_cast<float>(shape.dim));
    std::vector<float> queries(static_cast<std::size_t>(q.numel()));
    for (std::int64_t i = 0; i < shape.kv_heads * count; ++i) {
        float* query = queries.data() + i * shape.dim;
        std::copy_n(q.const_data_ptr<float>() + shape.offset(i / count, i % count), dim, query);
        cpu::scale(query, scale, dim);
    }
    const std::int64_t first_page =
        std::max<std::int64_t>(0, shape.position(0) - shape.window + 1) / cache.page_length();
    const std::int64_t pages = cache.page_count() - first_page;
    std::vector<SeenKeys> parts(static_cast<std::size_t>(shape.kv_heads * pages));
    share_tasks(shape.kv_heads * pages, [&] {
        const auto reader = std::make_shared<PageReader<Value>>(shape, cache, queries.data());
        return [reader, &parts, pages, first_page](std::int64_t i) {
            parts[static_cast<std::size_t>(i)] = reader->read(i / pages, first_page + i % pages);
        };
    });
    at::Tensor output = at::empty_like(q);
    for (std::int64_t i = 0; i < shape.kv_heads * count; ++i) {
        join(std::span(parts).subspan(static_cast<std::size_t>(i / count * pages),
                                      static_cast<std::size_t>(pages)),
             shape.begin_softmax(i / count, i % count),
             static_cast<std::size_t>(i % count),
             dim,
             output.mutable_data_ptr<float>() + shape.offset(i / count, i % count));
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
                           const KeyValueCache& cache,
                           const AttentionOptions& options) {
    const at::Tensor queries = q.contiguous();
    const AttentionShape shape(queries, cache, options);
    return cache.type() == at::kFloat ? attend<float>(queries, cache, shape)
                                      : attend<cpu::Bf16>(queries, cache, shape);
}

}  // namespace anamnesis::runtime
