// SPDX-License-Identifier: Apache-2.0
#include "cache_attention.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "cpu_kernels.hpp"
#include "key_value_cache.hpp"

namespace anamnesis::runtime {
namespace {

/// How the keys of a cache are divided among tasks: stretches of whole pages.
class KeyStretches {
public:
    /// `tasks` is how many there are without a division.
    KeyStretches(const KeyValueCache& cache, std::int64_t tasks);

    std::int64_t count() const { return count_; }
    /// Positions of the keys of one stretch.
    std::int64_t begin(std::int64_t stretch) const;
    std::int64_t end(std::int64_t stretch) const { return begin(stretch + 1); }

private:
    std::int64_t pages_;
    std::int64_t page_length_;
    std::int64_t count_;
};

/// What the rows of each task have seen of each stretch; nothing where keys are not divided.
class SeenByTask {
public:
    /// `parts` of `most` rows of each kv head.
    SeenByTask(const AttentionShape& shape,
               const KeyStretches& stretches,
               std::int64_t parts,
               std::int64_t most);

    /// Where the rows of a kv head from `first` on are to be put; null where outputs are.
    SeenKeys* find(std::int64_t kv_head, std::int64_t first, std::int64_t stretch);
    /// Writes the outputs of all rows.
    void join_all(float* output) const;

private:
    const AttentionShape& shape_;
    std::int64_t stretches_, parts_, most_;
    std::vector<SeenKeys> seen_;  ///< [kv_heads, parts, stretches]
};

KeyStretches::KeyStretches(const KeyValueCache& cache, std::int64_t tasks)
    : pages_(cache.page_count()), page_length_(cache.page_length()), count_(1) {
    // Enough that threads end together, few enough that joining costs little.
    constexpr std::int64_t tasks_per_thread = 4;
    const std::int64_t threads = at::get_num_threads();
    if (tasks < threads) {
        count_ = std::clamp<std::int64_t>(tasks_per_thread * threads / tasks, 1, pages_);
    }
}

std::int64_t KeyStretches::begin(std::int64_t stretch) const {
    return stretch * pages_ / count_ * page_length_;
}

SeenByTask::SeenByTask(const AttentionShape& shape,
                       const KeyStretches& stretches,
                       std::int64_t parts,
                       std::int64_t most)
    : shape_(shape), stretches_(stretches.count()), parts_(parts), most_(most) {
    if (stretches_ > 1) {
        seen_.assign(static_cast<std::size_t>(shape.kv_heads * parts * stretches_),
                     SeenKeys(std::min(most, shape.tokens * shape.group), shape.dim));
    }
}

SeenKeys* SeenByTask::find(std::int64_t kv_head, std::int64_t first, std::int64_t stretch) {
    const std::int64_t place = (kv_head * parts_ + first / most_) * stretches_ + stretch;
    return seen_.empty() ? nullptr : &seen_[static_cast<std::size_t>(place)];
}

void SeenByTask::join_all(float* output) const {
    const std::int64_t rows = seen_.empty() ? 0 : shape_.tokens * shape_.group;
    for (std::int64_t i = 0; i < shape_.kv_heads * rows; ++i) {
        const std::int64_t row = i % rows;
        const std::int64_t first = (i / rows * parts_ + row / most_) * stretches_;
        join(std::span(seen_).subspan(static_cast<std::size_t>(first),
                                      static_cast<std::size_t>(stretches_)),
             cpu::SoftmaxRow{},
             static_cast<std::size_t>(row % most_),
             static_cast<std::size_t>(shape_.dim),
             output + shape_.offset(i / rows, row));
    }
}

}  // namespace

void join(std::span<const SeenKeys> parts,
          const cpu::SoftmaxRow& begun,
          std::size_t row,
          std::size_t dim,
          float* target) {
    float maximum = begun.maximum;
    for (const SeenKeys& part : parts) {
        maximum = std::max(maximum, part.rows[row].maximum);
    }
    float total = begun.sum == 0.0F ? 0.0F : begun.sum * std::exp(begun.maximum - maximum);
    std::fill_n(target, dim, 0.0F);
    for (const SeenKeys& part : parts) {
        const float factor = std::exp(part.rows[row].maximum - maximum);
        total += factor * part.rows[row].sum;
        for (std::size_t d = 0; d < dim; ++d) {
            target[d] += factor * part.sums[row * dim + d];
        }
    }
    cpu::scale(target, 1.0F / total, dim);
}

void share_tasks(std::int64_t count,
                 const std::function<std::function<void(std::int64_t)>()>& make_worker) {
    std::atomic<std::int64_t> next{0};
    const std::int64_t threads = std::min<std::int64_t>(count, at::get_num_threads());
    at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t end) {
        const at::NoGradGuard no_gradients;
        const auto worker = make_worker();
        for (std::int64_t thread = begin; thread < end; ++thread) {
            for (std::int64_t i = next++; i < count; i = next++) {
                worker(i);
            }
        }
    });
}

void share_attention(const AttentionShape& shape,
                     const KeyValueCache& cache,
                     std::int64_t most,
                     float* output,
                     const std::function<AttentionWork()>& make_work) {
    const std::int64_t all = shape.tokens * shape.group;
    const std::int64_t parts = (all + most - 1) / most;
    const KeyStretches stretches(cache, parts * shape.kv_heads);
    SeenByTask seen(shape, stretches, parts, most);
    share_tasks(parts * shape.kv_heads * stretches.count(), [&] {
        return [work = make_work(), &shape, &stretches, &seen, parts, most, all](std::int64_t i) {
            const std::int64_t task = i / stretches.count();
            const std::int64_t stretch = i % stretches.count();
            const std::int64_t kv_head = task % shape.kv_heads;
            // Those with most to read come first.
            const std::int64_t first = (parts - 1 - task / shape.kv_heads) * most;
            work({.kv_head = kv_head,
                  .first = first,
                  .rows = std::min(most, all - first),
                  .begin = stretches.begin(stretch),
                  .end = stretches.end(stretch)},
                 seen.find(kv_head, first, stretch));
        };
    });
    seen.join_all(output);
}

}  // namespace anamnesis::runtime
