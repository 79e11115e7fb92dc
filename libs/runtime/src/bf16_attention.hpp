// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime::cpu {

/// Heads of other widths have no kernels.
inline constexpr std::size_t attention_dim_step = 16;

/// One query head over a whole text, for training: causal softmax attention on bfloat16 products
/// that are summed in float32, 64 queries against a block of keys at a time, so that no more scores
/// than these are there at once. Only where has_bf16_products(). On one thread.
/// Shapes: q [length, dim] with rows `query_stride` apart, k and v with rows `key_stride` apart.
/// Source: Dao 2023, "FlashAttention-2", algorithms 1 and 2.
struct AttentionHead {
    const float* q = nullptr;
    const float* k = nullptr;
    const float* v = nullptr;
    std::size_t length = 0;
    std::size_t dim = 0;  ///< a multiple of `attention_dim_step`
    std::size_t query_stride = 0;
    std::size_t key_stride = 0;
    std::size_t window = 0;  ///< a query at p sees keys in (p - window, p]
};

/// The memory of one thread's work, used again by its next head.
struct AttentionMemory {
    AttentionMemory(std::size_t length, std::size_t dim);

    std::vector<Bf16> keys, key_pairs, values, value_pairs;           ///< of a whole text
    std::vector<Bf16> queries, query_rows, gradients, gradient_rows;  ///< of a tile
    std::vector<Bf16> weights, slopes, slope_pairs;                   ///< of a block of keys
    std::vector<float> scores, score_gradients;
    std::vector<float> sums;  ///< of a tile
};

/// Writes what the head reads, its rows as those of q, and ln sum exp of each query's scores.
/// Shapes: y as q, normalisers [length].
void attention_forward(const AttentionHead& head,
                       float* y,
                       float* normalisers,
                       AttentionMemory& memory);

/// What the backward pass is given, and what it writes: all rows lie as those of q.
struct AttentionGradients {
    const float* y = nullptr;
    const float* normalisers = nullptr;
    const float* d_y = nullptr;
    float* d_q = nullptr;
    float* d_k = nullptr;
    float* d_v = nullptr;
};
void attention_backward(const AttentionHead& head,
                        const AttentionGradients& gradients,
                        AttentionMemory& memory);

}  // namespace anamnesis::runtime::cpu
