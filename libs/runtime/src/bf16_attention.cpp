// SPDX-License-Identifier: Apache-2.0
#include "bf16_attention.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "bf16_products.hpp"
#include "bf16_tiles.hpp"

namespace anamnesis::runtime::cpu {
namespace {

using namespace lanes_16;
using Signed = std::int32_t __attribute__((vector_size(width * sizeof(std::int32_t))));

/// Keys of a block: its scores and their gradients stay in a core's cache.
constexpr std::size_t block_keys = 128;
/// Registers that hold one value of each query of a tile.
constexpr std::size_t parts = tile_queries / width;

/// 64 float32 rows into [32, dim, 2]: rows in pairs.
ANAMNESIS_INLINE void pack_row_pairs(const float* const* rows,
                                     float scale,
                                     std::size_t dim,
                                     Bf16* packed) {
    for (std::size_t r = 0; r < tile_queries; r += 2) {
        Bf16* pairs = packed + r * dim;
        for (std::size_t d = 0; d < dim; d += width) {
            const Floats first = load(rows[r] + d) * scale;
            const Floats second = load(rows[r + 1] + d) * scale;
            const Words words = paired(first, second);
            std::memcpy(pairs + 2 * d, &words, sizeof words);
        }
    }
}

/// Float32 rows `stride` apart into bfloat16 rows side by side.
ANAMNESIS_INLINE void narrow_rows(
    const float* rows, std::size_t stride, std::size_t length, std::size_t dim, Bf16* target) {
    for (std::size_t t = 0; t < length; ++t) {
        for (std::size_t d = 0; d < dim; d += width) {
            store(target + t * dim + d, load(rows + t * stride + d));
        }
    }
}

ANAMNESIS_INLINE float dot(const float* a, const float* b, std::size_t count) {
    Floats sum{};
    for (std::size_t i = 0; i < count; i += width) {
        sum += load(a + i) * load(b + i);
    }
    return horizontal_sum(sum);
}

/// 64 neighbouring queries; after the last of a text the last one again.
struct Tile {
    Tile(const AttentionHead& head, std::size_t first_query)
        : first(first_query), rows(std::min(tile_queries, head.length - first_query)) {
        for (std::size_t r = 0; r < tile_queries; ++r) {
            positions[r] = static_cast<std::int32_t>(first + std::min(r, rows - 1));
        }
        const std::size_t seen = first + 1;
        // Keys lie in pairs.
        begin = seen > head.window ? (seen - head.window) / 2 * 2 : 0;
        end = first + rows;
    }

    /// Where each query's row begins in an array of rows as those of q.
    std::array<const float*, tile_queries> row_pointers(const AttentionHead& head,
                                                        const float* array) const {
        std::array<const float*, tile_queries> pointers{};
        for (std::size_t r = 0; r < tile_queries; ++r) {
            pointers[r] = array + static_cast<std::size_t>(positions[r]) * head.query_stride;
        }
        return pointers;
    }

    /// True where some query does not see some key of [key, key + count).
    bool is_masked(const AttentionHead& head, std::size_t key, std::size_t count) const {
        return key + count - 1 > first || key + head.window < first + rows;
    }

    std::size_t first, rows;
    std::size_t begin, end;  ///< keys that some query sees
    std::array<std::int32_t, tile_queries> positions{};
};

/// What makes weights and their gradients of scores.
struct Weighing {
    std::size_t key = 0;  ///< the first of the block
    bool is_masked = false;
    const float* normalisers = nullptr;  ///< [64]
    const float* means = nullptr;        ///< [64], of the gradients by weights
};

ANAMNESIS_INLINE float find_scale(const AttentionHead& head) {
    return 1.0F / std::sqrt(static_cast<float>(head.dim));
}

ANAMNESIS_INLINE void pack_keys(const AttentionHead& head, AttentionMemory& memory) {
    narrow_rows(head.k, head.key_stride, head.length, head.dim, memory.keys.data());
    narrow_rows(head.v, head.key_stride, head.length, head.dim, memory.values.data());
}

ANAMNESIS_INLINE void forward(const AttentionHead& head,
                              AttentionMemory& memory,
                              float* y,
                              float* normalisers) {
    pack_keys(head, memory);
    pack_values(memory.values.data(), head.length, head.dim, memory.value_pairs.data());
    for (std::size_t first = 0; first < head.length; first += tile_queries) {
        const Tile tile(head, first);
        const auto rows = tile.row_pointers(head, head.q);
        pack_queries(rows.data(), find_scale(head), head.dim, memory.queries.data());
        std::array<float, tile_queries> maxima;
        std::array<float, tile_queries> totals{};
        maxima.fill(no_score);
        std::ranges::fill(memory.sums, 0.0F);
        for (std::size_t key = tile.begin; key < tile.end; key += 2 * block_keys) {
            const std::size_t count = std::min(2 * block_keys, tile.end - key);
            attend({.queries = memory.queries.data(),
                    .positions = tile.positions.data(),
                    .maxima = maxima.data(),
                    .totals = totals.data(),
                    .sums = memory.sums.data()},
                   {.keys = memory.keys.data() + key * head.dim,
                    .values = memory.value_pairs.data() + key * head.dim,
                    .count = count,
                    .dim = head.dim,
                    .position = static_cast<std::int32_t>(key),
                    .window = static_cast<std::int32_t>(head.window),
                    .is_masked = tile.is_masked(head, key, count)},
                   memory.scores.data(),
                   memory.weights.data());
        }
        for (std::size_t r = 0; r < tile.rows; ++r) {
            float* target = y + (first + r) * head.query_stride;
            const float factor = 1.0F / totals[r];
            for (std::size_t d = 0; d < head.dim; ++d) {
                target[d] = memory.sums[d * tile_queries + r] * factor;
            }
            normalisers[first + r] = maxima[r] + std::log(totals[r]);
        }
    }
}

/// The weights of key `key` + j for one part of the queries; the gradients of their scores.
ANAMNESIS_INLINE Floats weigh_key(const AttentionHead& head,
                                  AttentionMemory& memory,
                                  const Tile& tile,
                                  const Weighing& weighing,
                                  std::size_t j,
                                  std::size_t p) {
    const std::size_t place = j * tile_queries + p * width;
    const Floats above =
        load(memory.scores.data() + place) - load(weighing.normalisers + p * width);
    Floats weight = exp_of_negative(above < 0.0F ? above : Floats{});
    if (weighing.is_masked) {
        Signed position;
        std::memcpy(&position, tile.positions.data() + p * width, sizeof position);
        const auto key = static_cast<std::int32_t>(weighing.key + j);
        const auto window = static_cast<std::int32_t>(head.window);
        const Signed is_seen = (position >= key) & (position - window < key);
        weight = is_seen ? weight : Floats{};
    }
    const Floats slope =
        weight * (load(memory.score_gradients.data() + place) - load(weighing.means + p * width));
    store(memory.weights.data() + place, weight);
    store(memory.slopes.data() + place, slope);
    return slope;
}

/// Scores and what their weights are worth become weights and gradients of scores.
ANAMNESIS_INLINE void weigh(const AttentionHead& head,
                            AttentionMemory& memory,
                            const Tile& tile,
                            const Weighing& weighing,
                            std::size_t count) {
    for (std::size_t j = 0; j < count; j += 2) {
        for (std::size_t p = 0; p < parts; ++p) {
            const Floats first = weigh_key(head, memory, tile, weighing, j, p);
            const Floats second =
                j + 1 < count ? weigh_key(head, memory, tile, weighing, j + 1, p) : Floats{};
            const Words pair = paired(first, second);
            std::memcpy(
                memory.slope_pairs.data() + j * tile_queries + 2 * p * width, &pair, sizeof pair);
        }
    }
}

ANAMNESIS_INLINE void add_block(const AttentionHead& head,
                                AttentionMemory& memory,
                                const Tile& tile,
                                std::size_t key,
                                const AttentionGradients& gradients,
                                const float* normalisers,
                                const float* means) {
    const std::size_t dim = head.dim;
    const std::size_t count = std::min(block_keys, tile.end - key);
    const Factor queries{.data = memory.queries.data(), .pair = 2 * tile_queries};
    const Factor d_y{.data = memory.gradients.data(), .pair = 2 * tile_queries};
    const Sums scores{.data = memory.scores.data(), .row = tile_queries};
    const Sums values{.data = memory.score_gradients.data(), .row = tile_queries};
    std::fill_n(scores.data, count * tile_queries, 0.0F);
    std::fill_n(values.data, count * tile_queries, 0.0F);
    add_product({.data = memory.keys.data() + key * dim, .row = dim, .pair = 2},
                queries,
                count,
                tile_queries,
                dim / 2,
                scores);
    add_product({.data = memory.values.data() + key * dim, .row = dim, .pair = 2},
                d_y,
                count,
                tile_queries,
                dim / 2,
                values);
    weigh(head,
          memory,
          tile,
          {.key = key,
           .is_masked = tile.is_masked(head, key, count),
           .normalisers = normalisers,
           .means = means},
          count);
    const std::size_t place = key * head.query_stride;
    add_product({.data = memory.slopes.data(), .row = tile_queries, .pair = 2},
                {.data = memory.query_rows.data(), .pair = 2 * dim},
                count,
                dim,
                tile_queries / 2,
                {.data = gradients.d_k + place, .row = head.query_stride});
    add_product({.data = memory.weights.data(), .row = tile_queries, .pair = 2},
                {.data = memory.gradient_rows.data(), .pair = 2 * dim},
                count,
                dim,
                tile_queries / 2,
                {.data = gradients.d_v + place, .row = head.query_stride});
    add_product({.data = memory.key_pairs.data() + key * dim, .row = 2, .pair = 2 * dim},
                {.data = memory.slope_pairs.data(), .pair = 2 * tile_queries},
                dim,
                tile_queries,
                (count + 1) / 2,
                {.data = memory.sums.data(), .row = tile_queries});
}

ANAMNESIS_INLINE void backward(const AttentionHead& head,
                               AttentionMemory& memory,
                               const AttentionGradients& gradients) {
    const std::size_t dim = head.dim;
    pack_keys(head, memory);
    pack_values(memory.keys.data(), head.length, dim, memory.key_pairs.data());
    for (std::size_t t = 0; t < head.length; ++t) {
        std::fill_n(gradients.d_k + t * head.query_stride, dim, 0.0F);
        std::fill_n(gradients.d_v + t * head.query_stride, dim, 0.0F);
    }
    const std::vector<float> nothing(dim);
    for (std::size_t first = 0; first < head.length; first += tile_queries) {
        const Tile tile(head, first);
        const auto queries = tile.row_pointers(head, head.q);
        auto d_y = tile.row_pointers(head, gradients.d_y);
        std::array<float, tile_queries> normalisers;
        std::array<float, tile_queries> means{};
        for (std::size_t r = 0; r < tile_queries; ++r) {
            const auto position = static_cast<std::size_t>(tile.positions[r]);
            normalisers[r] = gradients.normalisers[position];
            if (r < tile.rows) {
                means[r] = dot(d_y[r], gradients.y + position * head.query_stride, dim);
            } else {
                d_y[r] = nothing.data();
            }
        }
        pack_queries(queries.data(), find_scale(head), dim, memory.queries.data());
        pack_row_pairs(queries.data(), find_scale(head), dim, memory.query_rows.data());
        pack_queries(d_y.data(), 1.0F, dim, memory.gradients.data());
        pack_row_pairs(d_y.data(), 1.0F, dim, memory.gradient_rows.data());
        std::ranges::fill(memory.sums, 0.0F);
        for (std::size_t key = tile.begin; key < tile.end; key += block_keys) {
            add_block(head, memory, tile, key, gradients, normalisers.data(), means.data());
        }
        for (std::size_t r = 0; r < tile.rows; ++r) {
            float* target = gradients.d_q + (first + r) * head.query_stride;
            for (std::size_t d = 0; d < dim; ++d) {
                target[d] = memory.sums[d * tile_queries + r] * find_scale(head);
            }
        }
    }
}

}  // namespace

AttentionMemory::AttentionMemory(std::size_t length, std::size_t dim)
    : keys(length * dim),
      key_pairs((length + 1) / 2 * 2 * dim),
      values(length * dim),
      value_pairs((length + 1) / 2 * 2 * dim),
      queries(tile_queries * dim),
      query_rows(tile_queries * dim),
      gradients(tile_queries * dim),
      gradient_rows(tile_queries * dim),
      weights(2 * block_keys * tile_queries),
      slopes(block_keys * tile_queries),
      slope_pairs(block_keys * tile_queries),
      scores(2 * block_keys * tile_queries),
      score_gradients(block_keys * tile_queries),
      sums(tile_queries * dim) {}

ANAMNESIS_TARGET
void attention_forward(const AttentionHead& head,
                       float* y,
                       float* normalisers,
                       AttentionMemory& memory) {
    forward(head, memory, y, normalisers);
}

ANAMNESIS_TARGET
void attention_backward(const AttentionHead& head,
                        const AttentionGradients& gradients,
                        AttentionMemory& memory) {
    backward(head, memory, gradients);
}

}  // namespace anamnesis::runtime::cpu
