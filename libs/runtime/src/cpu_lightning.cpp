// SPDX-License-Identifier: Apache-2.0
//
// Lightning attention of one head, forwards and backwards. Within a chunk of tokens, with
// D_ij = e^(decay (i - j)) for j <= i, S the state that enters, and queries scaled:
//
//     A = (q k^T) . D,  o_i = (A v)_i + e^(decay (i + 1)) (q S)_i
//     S' = e^(decay n) S + sum_i e^(decay (n - 1 - i)) k_i v_i^T
//
// The backward pass takes the chunks from the last to the first.
// Source: Qin et al. 2024, "Lightning Attention-2"; the derivatives are those of the lines above.

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "cpu_gradients.hpp"

#define ANAMNESIS_KERNELS "cpu_lightning.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_small_products.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

constexpr std::size_t tokens = lightning_chunk;

/// Where a product has zeros, which are passed over.
enum class Zeros { none, left_above, left_below, result_above };

/// c = keep * c + a b; a or c may be triangular.
/// Shapes: a [rows, depth], b [depth, columns], c [rows, columns]: rows and columns in whole tiles.
template <Zeros Where>
ANAMNESIS_INLINE void multiply_triangular(Strided a,
                                          const float* b,
                                          float* c,
                                          std::size_t rows,
                                          std::size_t depth,
                                          std::size_t columns,
                                          float keep) {
    for (std::size_t i = 0; i < rows; i += 4) {
        const std::size_t first = Where == Zeros::left_below ? i : 0;
        const std::size_t end = Where == Zeros::left_above ? std::min(depth, i + 4) : depth;
        const std::size_t wide = Where == Zeros::result_above ? std::min(columns, i + 4) : columns;
        const Strided part{a.data + i * a.row + first * a.column, a.row, a.column};
        std::size_t j = 0;
        for (; j + 2 * width <= columns && j < wide; j += 2 * width) {
            multiply_tile<4, 2>(
                part, b + first * columns + j, c + i * columns + j, end - first, columns, keep);
        }
        for (; j + width <= columns && j < wide; j += width) {
            multiply_tile<4, 1>(
                part, b + first * columns + j, c + i * columns + j, end - first, columns, keep);
        }
    }
}

/// Memory of one head's work; keys and values are filled up with zeros to whole vectors, and
/// tokens to a whole chunk.
struct Workspace {
    Workspace(const LightningHead& head, float* scratch)
        : keys(padded(head.key_dim)), values(padded(head.value_dim)) {
        const auto take = [&](std::size_t count) {
            float* taken = scratch;
            scratch += count;
            return taken;
        };
        q = take(tokens * keys);
        k = take(tokens * keys);
        k_turned = take(keys * tokens);
        v = take(tokens * values);
        v_turned = take(values * tokens);
        d_out = take(tokens * values);
        weights = take(tokens * tokens);
        d_weights = take(tokens * tokens);
        between = take(tokens * tokens);
        from_start = take(tokens);
        to_end = take(tokens);
        state = take(keys * values);
        state_turned = take(values * keys);
        d_state = take(keys * values);
        d_state_turned = take(values * keys);
        keys_out = take(tokens * keys);
        values_out = take(tokens * values);
    }

    std::size_t keys, values;
    float *q, *k, *k_turned, *v, *v_turned, *d_out;
    float *weights, *d_weights, *between;  // [tokens, tokens]
    float *from_start, *to_end;
    float *state, *state_turned, *d_state, *d_state_turned;
    float *keys_out, *values_out;
};

ANAMNESIS_INLINE void gather(const float* source,
                             std::size_t stride,
                             std::size_t rows,
                             std::size_t columns,
                             float factor,
                             float* target,
                             std::size_t wide) {
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t d = 0; d < wide; ++d) {
            target[t * wide + d] = t < rows && d < columns ? factor * source[t * stride + d] : 0.0F;
        }
    }
}

ANAMNESIS_INLINE void scatter(const float* source,
                              std::size_t wide,
                              float* target,
                              std::size_t stride,
                              std::size_t rows,
                              std::size_t columns) {
    for (std::size_t t = 0; t < rows; ++t) {
        for (std::size_t d = 0; d < columns; ++d) {
            target[t * stride + d] = source[t * wide + d];
        }
    }
}

/// target[c][r] = source[r][c].
ANAMNESIS_INLINE void turn(const float* source,
                           std::size_t rows,
                           std::size_t columns,
                           float* target) {
    for (std::size_t c = 0; c < columns; ++c) {
        for (std::size_t r = 0; r < rows; ++r) {
            target[c * rows + r] = source[r * columns + c];
        }
    }
}

ANAMNESIS_INLINE void scale_rows(float* matrix, const float* factors, std::size_t columns) {
    for (std::size_t t = 0; t < tokens; ++t) {
        for (std::size_t d = 0; d < columns; ++d) {
            matrix[t * columns + d] *= factors[t];
        }
    }
}

/// Times D, whose zeros are above the diagonal.
ANAMNESIS_INLINE void decay_scores(float* scores, const float* between) {
    for (std::size_t i = 0; i < tokens; ++i) {
        std::size_t j = 0;
        for (; j <= i; j += width) {
            store(scores + i * tokens + j,
                  load(scores + i * tokens + j) * load(between + i * tokens + j));
        }
        for (; j < tokens; j += width) {
            store(scores + i * tokens + j, Floats{});
        }
    }
}

ANAMNESIS_INLINE void make_decays(const LightningHead& head, const Workspace& w) {
    for (std::size_t t = 0; t < tokens; ++t) {
        w.from_start[t] = std::exp(head.decay * static_cast<float>(t + 1));
    }
    for (std::size_t i = 0; i < tokens; ++i) {
        for (std::size_t j = 0; j < tokens; ++j) {
            w.between[i * tokens + j] = j < i ? w.from_start[i - j - 1] : (j == i ? 1.0F : 0.0F);
        }
    }
    for (std::size_t i = 0; i < tokens * tokens; ++i) {
        w.weights[i] = 0.0F;
        w.d_weights[i] = 0.0F;
    }
}

/// Reads a chunk; `to_end` and the factor on the whole state follow from its length.
ANAMNESIS_INLINE float read_chunk(const LightningHead& head,
                                  std::size_t first,
                                  std::size_t rows,
                                  const Workspace& w) {
    gather(head.q + first * head.key_stride,
           head.key_stride,
           rows,
           head.key_dim,
           head.scale,
           w.q,
           w.keys);
    gather(
        head.k + first * head.key_stride, head.key_stride, rows, head.key_dim, 1.0F, w.k, w.keys);
    gather(head.v + first * head.value_stride,
           head.value_stride,
           rows,
           head.value_dim,
           1.0F,
           w.v,
           w.values);
    turn(w.k, tokens, w.keys, w.k_turned);
    for (std::size_t t = 0; t < tokens; ++t) {
        w.to_end[t] = t + 1 < rows ? w.from_start[rows - t - 2] : 1.0F;
    }
    multiply_triangular<Zeros::result_above>(
        {w.q, w.keys, 1}, w.k_turned, w.weights, tokens, w.keys, tokens, 0.0F);
    decay_scores(w.weights, w.between);
    return w.from_start[rows - 1];
}

ANAMNESIS_INLINE void lightning_forward_body(const LightningHead& head,
                                             float* out,
                                             float* states,
                                             float* scratch) {
    const Workspace w(head, scratch);
    make_decays(head, w);
    const std::size_t state_size = w.keys * w.values;
    std::fill_n(w.state, state_size, 0.0F);
    for (std::size_t first = 0; first < head.length; first += tokens) {
        const std::size_t rows = std::min(tokens, head.length - first);
        std::copy_n(w.state, state_size, states + first / tokens * state_size);
        const float whole = read_chunk(head, first, rows, w);
        multiply({w.q, w.keys, 1}, w.state, w.values_out, tokens, w.keys, w.values, 0.0F);
        scale_rows(w.values_out, w.from_start, w.values);
        multiply_triangular<Zeros::left_above>(
            {w.weights, tokens, 1}, w.v, w.values_out, tokens, tokens, w.values, 1.0F);
        scatter(w.values_out,
                w.values,
                out + first * head.value_stride,
                head.value_stride,
                rows,
                head.value_dim);
        scale_rows(w.k, w.to_end, w.keys);
        multiply({w.k, 1, w.keys}, w.v, w.state, w.keys, tokens, w.values, whole);
    }
}

/// The gradients of one chunk; `d_state` goes from the state after it to the one before it.
ANAMNESIS_INLINE void chunk_backward(const LightningHead& head,
                                     std::size_t first,
                                     std::size_t rows,
                                     const float* d_out,
                                     const Workspace& w,
                                     float* d_q,
                                     float* d_k,
                                     float* d_v) {
    const float whole = read_chunk(head, first, rows, w);
    gather(d_out + first * head.value_stride,
           head.value_stride,
           rows,
           head.value_dim,
           1.0F,
           w.d_out,
           w.values);
    turn(w.v, tokens, w.values, w.v_turned);
    turn(w.state, w.keys, w.values, w.state_turned);
    turn(w.d_state, w.keys, w.values, w.d_state_turned);
    multiply_triangular<Zeros::result_above>(
        {w.d_out, w.values, 1}, w.v_turned, w.d_weights, tokens, w.values, tokens, 0.0F);
    decay_scores(w.d_weights, w.between);

    // d_v = A^T d_o + e^(to end) k d_S'
    multiply({w.k, w.keys, 1}, w.d_state, w.values_out, tokens, w.keys, w.values, 0.0F);
    scale_rows(w.values_out, w.to_end, w.values);
    multiply_triangular<Zeros::left_below>(
        {w.weights, 1, tokens}, w.d_out, w.values_out, tokens, tokens, w.values, 1.0F);
    scatter(w.values_out,
            w.values,
            d_v + first * head.value_stride,
            head.value_stride,
            rows,
            head.value_dim);
    // d_k = d_A^T q + e^(to end) v d_S'^T
    multiply({w.v, w.values, 1}, w.d_state_turned, w.keys_out, tokens, w.values, w.keys, 0.0F);
    scale_rows(w.keys_out, w.to_end, w.keys);
    multiply_triangular<Zeros::left_below>(
        {w.d_weights, 1, tokens}, w.q, w.keys_out, tokens, tokens, w.keys, 1.0F);
    scatter(w.keys_out, w.keys, d_k + first * head.key_stride, head.key_stride, rows, head.key_dim);
    // d_q = scale (d_A k + e^(from start) d_o S^T)
    scale_rows(w.d_out, w.from_start, w.values);
    multiply({w.d_out, w.values, 1}, w.state_turned, w.keys_out, tokens, w.values, w.keys, 0.0F);
    multiply_triangular<Zeros::left_above>(
        {w.d_weights, tokens, 1}, w.k, w.keys_out, tokens, tokens, w.keys, 1.0F);
    for (std::size_t i = 0; i < tokens * w.keys; ++i) {
        w.keys_out[i] *= head.scale;
    }
    scatter(w.keys_out, w.keys, d_q + first * head.key_stride, head.key_stride, rows, head.key_dim);
    // d_S = e^(whole) d_S' + q^T e^(from start) d_o
    multiply({w.q, 1, w.keys}, w.d_out, w.d_state, w.keys, tokens, w.values, whole);
}

ANAMNESIS_INLINE void lightning_backward_body(const LightningHead& head,
                                              const float* states,
                                              const float* d_out,
                                              float* d_q,
                                              float* d_k,
                                              float* d_v,
                                              float* scratch) {
    const Workspace w(head, scratch);
    make_decays(head, w);
    const std::size_t state_size = w.keys * w.values;
    std::fill_n(w.d_state, state_size, 0.0F);
    for (std::size_t n = (head.length + tokens - 1) / tokens; n > 0; --n) {
        const std::size_t first = (n - 1) * tokens;
        std::copy_n(states + (n - 1) * state_size, state_size, w.state);
        chunk_backward(head, first, std::min(tokens, head.length - first), d_out, w, d_q, d_k, d_v);
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

std::size_t lightning_scratch(std::size_t key_dim, std::size_t value_dim) {
    const std::size_t keys = padded(key_dim);
    const std::size_t values = padded(value_dim);
    return 4 * lightning_chunk * keys + 4 * lightning_chunk * values +
           3 * lightning_chunk * lightning_chunk + 2 * lightning_chunk + 4 * keys * values;
}

std::size_t lightning_states(std::size_t length, std::size_t key_dim, std::size_t value_dim) {
    return (length + lightning_chunk - 1) / lightning_chunk * padded(key_dim) * padded(value_dim);
}

ANAMNESIS_KERNEL(void,
                 lightning_forward,
                 (const LightningHead& head, float* out, float* states, float* scratch),
                 (head, out, states, scratch))

ANAMNESIS_KERNEL(void,
                 lightning_backward,
                 (const LightningHead& head,
                  const float* states,
                  const float* d_out,
                  float* d_q,
                  float* d_k,
                  float* d_v,
                  float* scratch),
                 (head, states, d_out, d_q, d_k, d_v, scratch))

}  // namespace anamnesis::runtime::cpu

#endif
