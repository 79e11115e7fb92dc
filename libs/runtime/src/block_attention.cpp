// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>

#include "cache_attention.hpp"
#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

/// Keys of one block, and rows worked on against it: scores of 256 x 256 floats stay in a core's
/// cache between the two products.
constexpr std::int64_t block_keys = 256;
constexpr std::int64_t block_rows = 256;

struct Block {
    const KeyValueCache::Page* page = nullptr;
    std::int64_t first = 0;     ///< in the page
    std::int64_t position = 0;  ///< of the first key
    std::int64_t count = 0;
};

/// One thread's work and its memory.
class Worker {
public:
    Worker(const at::Tensor& q,
           const KeyValueCache& cache,
           const AttentionShape& shape,
           std::int64_t rows,
           float* output)
        : cache_(cache),
          shape_(shape),
          source_(q.const_data_ptr<float>()),
          output_(output),
          queries_(at::empty({rows, shape.dim}, q.options())),
          scores_(at::empty({rows, block_keys}, q.options())),
          sums_(at::empty({rows, shape.dim}, q.options())),
          keys_(at::empty({block_keys, shape.dim}, q.options())),
          values_(at::empty({block_keys, shape.dim}, q.options())),
          running_(static_cast<std::size_t>(rows)) {}

    /// Writes the outputs or, where there is one, what the rows have seen.
    void work(const AttentionTask& task, SeenKeys* seen) {
        const auto dim = static_cast<std::size_t>(shape_.dim);
        auto* queries = queries_.mutable_data_ptr<float>();
        auto* sums = sums_.mutable_data_ptr<float>();
        const float scale = 1.0F / std::sqrt(static_cast<float>(shape_.dim));
        for (std::int64_t row = 0; row < task.rows; ++row) {
            float* query = queries + row * shape_.dim;
            std::copy_n(source_ + shape_.offset(task.kv_head, task.first + row), dim, query);
            cpu::scale(query, scale, dim);
        }
        std::fill_n(sums, static_cast<std::size_t>(task.rows) * dim, 0.0F);
        for (std::int64_t row = 0; row < task.rows; ++row) {
            running_[static_cast<std::size_t>(row)] =
                task.begin == 0 ? shape_.begin_softmax(task.kv_head, task.first + row)
                                : cpu::SoftmaxRow{};
        }
        add_blocks(task);
        if (seen != nullptr) {
            std::copy_n(running_.begin(), task.rows, seen->rows.begin());
            std::copy_n(sums, static_cast<std::size_t>(task.rows) * dim, seen->sums.begin());
            return;
        }
        for (std::int64_t row = 0; row < task.rows; ++row) {
            float* target = output_ + shape_.offset(task.kv_head, task.first + row);
            std::copy_n(sums + row * shape_.dim, dim, target);
            cpu::scale(target, 1.0F / running_[static_cast<std::size_t>(row)].sum, dim);
        }
    }

private:
    void add_blocks(const AttentionTask& task) {
        const std::int64_t begin =
            std::max(task.begin, shape_.position(task.first) - shape_.window + 1);
        const std::int64_t end =
            std::min(task.end, shape_.position(task.first + task.rows - 1) + 1);
        const std::int64_t page_length = cache_.page_length();
        for (std::int64_t key = begin; key < end;) {
            const std::int64_t first = key % page_length;
            const Block block{.page = cache_.page(key / page_length),
                              .first = first,
                              .position = key,
                              .count = std::min({block_keys, end - key, page_length - first})};
            multiply(task, block);
            key += block.count;
        }
    }

    void multiply(const AttentionTask& task, const Block& block) {
        const auto part = [&](const at::Tensor& page) {
            return page.select(0, task.kv_head).narrow(0, block.first, block.count);
        };
        at::Tensor scores = scores_.narrow(0, 0, task.rows).narrow(1, 0, block.count);
        at::mm_out(
            scores, queries_.narrow(0, 0, task.rows), widened(part(block.page->keys), keys_).t());
        advance(task, block);
        at::Tensor sums = sums_.narrow(0, 0, task.rows);
        sums.addmm_(scores, widened(part(block.page->values), values_));
    }

    /// Scores become weights, and earlier sums shrink to the new maximum.
    void advance(const AttentionTask& task, const Block& block) {
        auto* scores = scores_.mutable_data_ptr<float>();
        auto* sums = sums_.mutable_data_ptr<float>();
        for (std::int64_t row = 0; row < task.rows; ++row) {
            const std::int64_t position = shape_.position(task.first + row);
            const auto within = [&](std::int64_t key) {
                return static_cast<std::size_t>(
                    std::clamp<std::int64_t>(key - block.position, 0, block.count));
            };
            shape_.adjust(scores + row * block_keys,
                          task.kv_head,
                          task.first + row,
                          block.position,
                          block.count);
            const float shrink = cpu::advance_softmax(running_[static_cast<std::size_t>(row)],
                                                      scores + row * block_keys,
                                                      within(position - shape_.window + 1),
                                                      within(position + 1),
                                                      static_cast<std::size_t>(block.count));
            if (shrink != 1.0F) {
                cpu::scale(sums + row * shape_.dim, shrink, static_cast<std::size_t>(shape_.dim));
            }
        }
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

    const KeyValueCache& cache_;
    const AttentionShape& shape_;
    const float* source_;
    float* output_;
    at::Tensor queries_;  ///< [rows, D]
    at::Tensor scores_;   ///< [rows, block_keys]
    at::Tensor sums_;     ///< [rows, D]
    at::Tensor keys_;     ///< [block_keys, D]
    at::Tensor values_;
    std::vector<cpu::SoftmaxRow> running_;
};

}  // namespace

at::Tensor attend_in_blocks(const at::Tensor& q,
                            const KeyValueCache& cache,
                            const AttentionOptions& options) {
    const at::Tensor queries = q.contiguous();
    at::Tensor output = at::empty_like(queries);
    const AttentionShape shape(queries, cache, options);
    const std::int64_t most = std::min(shape.tokens * shape.group, block_rows);
    auto* target = output.mutable_data_ptr<float>();
    share_attention(shape, cache, most, target, [&] {
        const auto worker = std::make_shared<Worker>(queries, cache, shape, most, target);
        return [worker](const AttentionTask& task, SeenKeys* seen) { worker->work(task, seen); };
    });
    return output;
}

}  // namespace anamnesis::runtime
