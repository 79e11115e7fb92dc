// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "bf16_tiles.hpp"
#include "cache_attention.hpp"
#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

constexpr auto lanes = static_cast<std::int64_t>(cpu::tile_queries);
/// Keys of one block, and tiles that share its packed values: with them they fit a core's cache.
constexpr std::int64_t block_keys = 256;
constexpr std::int64_t most_tiles = 4;
/// Below this, reading keys and values is the work.
constexpr std::int64_t least_rows = 17;

/// 64 rows of one kv head and the memory for what they have seen.
class Tile {
public:
    Tile(std::int64_t dim, const at::TensorOptions& options)
        : dim_(dim),
          queries_(at::empty({dim, lanes}, options.dtype(at::kBFloat16))),
          sums_(at::empty({dim, lanes}, options)) {}

    void start(const AttentionShape& shape, const float* source, const AttentionTask& task) {
        first_ = task.first;
        rows_ = task.rows;
        const auto& [kv_head, first, rows, begin, end] = task;
        begin_ = std::max(begin, shape.position(first) - shape.window + 1);
        end_ = std::min(end, shape.position(first + rows - 1) + 1);
        std::array<const float*, cpu::tile_queries> pointers{};
        for (std::int64_t row = 0; row < lanes; ++row) {
            const std::int64_t used = first + std::min(row, rows - 1);
            pointers[static_cast<std::size_t>(row)] = source + shape.offset(kv_head, used);
            positions_[static_cast<std::size_t>(row)] =
                static_cast<std::int32_t>(shape.position(used));
        }
        cpu::pack_queries(pointers.data(),
                          1.0F / std::sqrt(static_cast<float>(dim_)),
                          static_cast<std::size_t>(dim_),
                          static_cast<cpu::Bf16*>(queries_.mutable_data_ptr()));
        for (std::int64_t row = 0; row < lanes; ++row) {
            const auto begun = begin == 0
                                   ? shape.begin_softmax(kv_head, first + std::min(row, rows - 1))
                                   : cpu::SoftmaxRow{};
            maxima_[static_cast<std::size_t>(row)] = std::max(begun.maximum, cpu::no_score);
            totals_[static_cast<std::size_t>(row)] = begun.sum;
        }
        sums_.zero_();
    }

    /// Adds the keys [position, position + count) as far as the rows see them.
    void add(cpu::KeyTile keys, std::int64_t window, float* scores, cpu::Bf16* weights) {
        const std::int64_t position = keys.position;
        const std::int64_t count = std::min(static_cast<std::int64_t>(keys.count), end_ - position);
        if (count <= 0 || position + count <= begin_) {
            return;
        }
        keys.count = static_cast<std::size_t>(count);
        keys.is_masked =
            position + count - 1 > positions_.front() || position < positions_.back() - window + 1;
        cpu::attend({.queries = static_cast<const cpu::Bf16*>(queries_.const_data_ptr()),
                     .positions = positions_.data(),
                     .maxima = maxima_.data(),
                     .totals = totals_.data(),
                     .sums = sums_.mutable_data_ptr<float>()},
                    keys,
                    scores,
                    weights);
    }

    void finish(const AttentionShape& shape, std::int64_t kv_head, float* output) const {
        const auto* sums = sums_.const_data_ptr<float>();
        for (std::int64_t row = 0; row < rows_; ++row) {
            float* target = output + shape.offset(kv_head, first_ + row);
            const float factor = 1.0F / totals_[static_cast<std::size_t>(row)];
            for (std::int64_t d = 0; d < dim_; ++d) {
                target[d] = sums[d * lanes + row] * factor;
            }
        }
    }

    /// What the rows have seen, as rows of `seen` from `first` on.
    void leave(SeenKeys& seen, std::int64_t first) const {
        const auto* sums = sums_.const_data_ptr<float>();
        for (std::int64_t row = 0; row < rows_; ++row) {
            const auto lane = static_cast<std::size_t>(row);
            const auto target = static_cast<std::size_t>(first + row);
            seen.rows[target] = {.maximum = maxima_[lane], .sum = totals_[lane]};
            for (std::int64_t d = 0; d < dim_; ++d) {
                seen.sums[target * static_cast<std::size_t>(dim_) + static_cast<std::size_t>(d)] =
                    sums[d * lanes + row];
            }
        }
    }

    std::int64_t begin() const { return begin_; }
    std::int64_t end() const { return end_; }

private:
    std::int64_t dim_;
    std::int64_t first_ = 0;
    std::int64_t rows_ = 0;
    std::int64_t begin_ = 0;  ///< the first position that some row sees
    std::int64_t end_ = 0;    ///< after the last
    at::Tensor queries_;
    at::Tensor sums_;
    std::array<std::int32_t, cpu::tile_queries> positions_{};
    std::array<float, cpu::tile_queries> maxima_{};
    std::array<float, cpu::tile_queries> totals_{};
};

/// One thread's work and its memory.
class Worker {
public:
    Worker(const at::Tensor& q,
           const KeyValueCache& cache,
           const AttentionShape& shape,
           float* output)
        : cache_(cache),
          shape_(shape),
          source_(q.const_data_ptr<float>()),
          output_(output),
          values_(at::empty({block_keys, shape.dim}, q.options().dtype(at::kBFloat16))),
          scores_(at::empty({block_keys, lanes}, q.options())),
          weights_(at::empty({block_keys, lanes}, q.options().dtype(at::kBFloat16))) {
        for (std::int64_t i = 0; i < most_tiles; ++i) {
            tiles_.emplace_back(shape.dim, q.options());
        }
    }

    /// Writes the outputs or, where there is one, what the rows have seen.
    void work(const AttentionTask& task, SeenKeys* seen) {
        const std::int64_t kv_head = task.kv_head;
        const std::int64_t count = (task.rows + lanes - 1) / lanes;
        for (std::int64_t i = 0; i < count; ++i) {
            AttentionTask part = task;
            part.first += i * lanes;
            part.rows = std::min(lanes, task.rows - i * lanes);
            tile(i).start(shape_, source_, part);
        }
        const std::int64_t page_length = cache_.page_length();
        const std::int64_t end = tile(count - 1).end();
        for (std::int64_t key = tile(0).begin(); key < end;) {
            const std::int64_t in_page = key % page_length;
            const std::int64_t keys = std::min({block_keys, end - key, page_length - in_page});
            add_block(kv_head, key, keys, count);
            key += keys;
        }
        for (std::int64_t i = 0; i < count; ++i) {
            if (seen != nullptr) {
                tile(i).leave(*seen, i * lanes);
            } else {
                tile(i).finish(shape_, kv_head, output_);
            }
        }
    }

private:
    Tile& tile(std::int64_t i) { return tiles_[static_cast<std::size_t>(i)]; }

    void add_block(std::int64_t kv_head, std::int64_t key, std::int64_t count, std::int64_t tiles) {
        const KeyValueCache::Page& page = *cache_.page(key / cache_.page_length());
        const std::int64_t first = key % cache_.page_length();
        auto* values = static_cast<cpu::Bf16*>(values_.mutable_data_ptr());
        const auto dim = static_cast<std::size_t>(shape_.dim);
        cpu::pack_values(head_rows<cpu::Bf16>(page.values, kv_head, first),
                         static_cast<std::size_t>(count),
                         dim,
                         values);
        for (std::int64_t i = 0; i < tiles; ++i) {
            tile(i).add({.keys = head_rows<cpu::Bf16>(page.keys, kv_head, first),
                         .values = values,
                         .count = static_cast<std::size_t>(count),
                         .dim = dim,
                         .position = static_cast<std::int32_t>(key),
                         .window = static_cast<std::int32_t>(shape_.window)},
                        shape_.window,
                        scores_.mutable_data_ptr<float>(),
                        static_cast<cpu::Bf16*>(weights_.mutable_data_ptr()));
        }
    }

    const KeyValueCache& cache_;
    const AttentionShape& shape_;
    const float* source_;
    float* output_;
    at::Tensor values_;   ///< packed values of a block
    at::Tensor scores_;   ///< [block_keys, 64]
    at::Tensor weights_;  ///< packed
    std::vector<Tile> tiles_;
};

}  // namespace

bool can_attend_in_tiles(const at::Tensor& q, const KeyValueCache& cache) {
    constexpr std::int64_t last_position = std::int64_t{1} << 30;
    const AttentionShape shape(q, cache, {});
    return cpu::has_bf16_products() && cache.type() == at::kBFloat16 && shape.dim % 2 == 0 &&
           shape.tokens * shape.group >= least_rows && cache.length() < last_position;
}

at::Tensor attend_in_tiles(const at::Tensor& q,
                           const KeyValueCache& cache,
                           const AttentionOptions& options) {
    const at::Tensor queries = q.contiguous();
    at::Tensor output = at::empty_like(queries);
    const AttentionShape shape(queries, cache, options);
    auto* target = output.mutable_data_ptr<float>();
    share_attention(shape, cache, most_tiles * lanes, target, [&] {
        const auto worker = std::make_shared<Worker>(queries, cache, shape, target);
        return [worker](const AttentionTask& task, SeenKeys* seen) { worker->work(task, seen); };
    });
    return output;
}

}  // namespace anamnesis::runtime
