// SPDX-License-Identifier: Apache-2.0
//
// Linear recurrences of one head whose key channels decay by themselves.

#include <algorithm>
#include <cstddef>

#include "cpu_kernels.hpp"

#define ANAMNESIS_KERNELS "cpu_channel_recurrence.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_small_products.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

/// Tokens of a chunk. Their decays to each other are products of steps, each at most 1, so nothing
/// overflows and no difference of sums loses digits; longer chunks would only add such pairs.
constexpr std::size_t most_tokens = 16;

/// Memory of one head.
struct Workspace {
    Workspace(std::size_t key_dim, std::size_t value_dim, float* scratch)
        : keys(padded(key_dim)), values(value_dim) {
        const auto take = [&](std::size_t count) {
            float* taken = scratch;
            scratch += padded(count);
            return taken;
        };
        rows = take(2 * most_tokens * keys);
        decayed = take(most_tokens * keys);
        added = take(most_tokens * values);
        from_state = take(2 * most_tokens * values);
        scores = take(most_tokens * most_tokens);
        key_scores = take(most_tokens * most_tokens);
        step = take(keys);
        whole = take(keys);
        state = take(keys * values);
    }

    static std::size_t count(std::size_t key_dim, std::size_t value_dim) {
        const std::size_t key_columns = padded(key_dim);
        return 3 * most_tokens * key_columns + 3 * padded(most_tokens * value_dim) +
               2 * most_tokens * most_tokens + 2 * key_columns + padded(key_columns * value_dim);
    }

    float* query(std::size_t t) const { return rows + t * keys; }
    float* key(std::size_t t) const { return rows + (most_tokens + t) * keys; }

    std::size_t keys, values;
    float* rows;     ///< [2, 16, keys]: queries and keys; then decayed from the chunk's beginning
    float* decayed;  ///< [16, keys]: keys decayed to the token that is worked on
    float* added;    ///< [16, values]
    float* from_state;           ///< [2, 16, values]
    float *scores, *key_scores;  ///< [16, 16]
    float *step, *whole;         ///< [keys]: factors of a token, and of all tokens so far
    float* state;                ///< [keys, values]
};

/// Rows of the chunk from `first` on; those that are not there are 0.
ANAMNESIS_INLINE void gather(const RecurrentChunk& tokens, std::size_t first, const Workspace& w) {
    std::fill(w.rows, w.rows + 2 * most_tokens * w.keys, 0.0F);
    std::fill(w.decayed, w.decayed + most_tokens * w.keys, 0.0F);
    std::fill(w.added, w.added + most_tokens * w.values, 0.0F);
    std::fill(w.scores, w.scores + most_tokens * most_tokens, 0.0F);
    std::fill(w.key_scores, w.key_scores + most_tokens * most_tokens, 0.0F);
    std::fill(w.whole, w.whole + w.keys, 1.0F);
    const std::size_t count = std::min(most_tokens, tokens.length - first);
    for (std::size_t t = 0; t < count; ++t) {
        const float* q = tokens.q + (first + t) * tokens.key_stride;
        const float* k = tokens.k + (first + t) * tokens.key_stride;
        for (std::size_t d = 0; d < tokens.key_dim; ++d) {
            w.query(t)[d] = tokens.scale * q[d];
            w.key(t)[d] = k[d];
        }
        std::copy_n(tokens.v + (first + t) * tokens.value_stride, w.values, w.added + t * w.values);
    }
}

/// Factors of token t: e to its decays.
ANAMNESIS_INLINE void raise_decays(const RecurrentChunk& tokens,
                                   std::size_t t,
                                   const Workspace& w) {
    const float* decay = tokens.decay + t * tokens.decay_stride;
    std::size_t d = 0;
    for (; d + width <= tokens.key_dim; d += width) {
        store(w.step + d, exp_of_negative(load(decay + d)));
    }
    for (; d < w.keys; ++d) {
        w.step[d] = d < tokens.key_dim ? exp_of_negative(decay[d]) : 1.0F;
    }
}

/// Earlier keys decay by one token and meet token t, which is then one of them.
ANAMNESIS_INLINE void meet_earlier(std::size_t t, const Workspace& w) {
    float* q = w.query(t);
    float* k = w.key(t);
    for (std::size_t j = 0; j < t; ++j) {
        float* earlier = w.decayed + j * w.keys;
        Floats score{};
        Floats key_score{};
        for (std::size_t d = 0; d < w.keys; d += width) {
            const Floats decayed = load(earlier + d) * load(w.step + d);
            store(earlier + d, decayed);
            score += decayed * load(q + d);
            key_score += decayed * load(k + d);
        }
        w.scores[t * most_tokens + j] = horizontal_sum(score);
        w.key_scores[t * most_tokens + j] = horizontal_sum(key_score);
    }
    Floats own{};
    for (std::size_t d = 0; d < w.keys; d += width) {
        const Floats key = load(k + d);
        const Floats whole = load(w.whole + d) * load(w.step + d);
        own += key * load(q + d);
        store(w.decayed + t * w.keys + d, key);
        store(w.whole + d, whole);
        store(k + d, key * whole);
        store(q + d, load(q + d) * whole);
    }
    w.scores[t * most_tokens + t] = horizontal_sum(own);
}

/// target -= or += sum over the tokens before `count` of weights times their values.
ANAMNESIS_INLINE void add_values(
    float* target, const float* weights, float sign, std::size_t count, const Workspace& w) {
    for (std::size_t j = 0; j < count; ++j) {
        const float weight = sign * weights[j];
        const float* values = w.added + j * w.values;
        for (std::size_t d = 0; d < w.values; ++d) {
            target[d] += weight * values[d];
        }
    }
}

/// Values less what the state and earlier tokens hold for their keys; then the outputs.
ANAMNESIS_INLINE void correct_and_read(const RecurrentChunk& tokens,
                                       std::size_t first,
                                       std::size_t count,
                                       const Workspace& w) {
    multiply({w.rows, w.keys, 1}, w.state, w.from_state, 2 * most_tokens, w.keys, w.values, 0.0F);
    for (std::size_t t = 0; t < count; ++t) {
        const float beta = tokens.beta[(first + t) * tokens.beta_stride];
        float* added = w.added + t * w.values;
        const float* held = w.from_state + (most_tokens + t) * w.values;
        for (std::size_t d = 0; d < w.values; ++d) {
            added[d] -= held[d];
        }
        add_values(added, w.key_scores + t * most_tokens, -1.0F, t, w);
        float* out = tokens.out + (first + t) * tokens.value_stride;
        const float* read = w.from_state + t * w.values;
        for (std::size_t d = 0; d < w.values; ++d) {
            added[d] *= beta;
            out[d] = read[d];
        }
        add_values(out, w.scores + t * most_tokens, 1.0F, t + 1, w);
    }
}

ANAMNESIS_INLINE void move_state(const Workspace& w) {
    for (std::size_t r = 0; r < w.keys; ++r) {
        float* row = w.state + r * w.values;
        for (std::size_t d = 0; d < w.values; ++d) {
            row[d] *= w.whole[r];
        }
    }
    multiply({w.decayed, 1, w.keys}, w.added, w.state, w.keys, most_tokens, w.values, 1.0F);
}

ANAMNESIS_INLINE void channel_recurrence_body(float* state,
                                              const RecurrentChunk& tokens,
                                              float* scratch) {
    const Workspace w(tokens.key_dim, tokens.value_dim, scratch);
    const std::size_t used = tokens.key_dim * tokens.value_dim;
    std::copy_n(state, used, w.state);
    std::fill(w.state + used, w.state + w.keys * w.values, 0.0F);
    for (std::size_t first = 0; first < tokens.length; first += most_tokens) {
        const std::size_t count = std::min(most_tokens, tokens.length - first);
        gather(tokens, first, w);
        for (std::size_t t = 0; t < count; ++t) {
            raise_decays(tokens, first + t, w);
            meet_earlier(t, w);
        }
        correct_and_read(tokens, first, count, w);
        move_state(w);
    }
    std::copy_n(w.state, used, state);
}

/// log(1 + e^x) with log(1 + t) = 2 artanh(t / (2 + t)): for t in (0, 1] eight terms of the series
/// are exact to 1e-8.
template <class Value>
ANAMNESIS_INLINE Value softplus(Value x) {
    const Value t = exp_of_negative(x < 0.0F ? x : -x);
    const Value z = t / (t + 2.0F);
    const Value square = z * z;
    Value sum = square * (1.0F / 15.0F) + 1.0F / 13.0F;
    sum = sum * square + 1.0F / 11.0F;
    sum = sum * square + 1.0F / 9.0F;
    sum = sum * square + 1.0F / 7.0F;
    sum = sum * square + 1.0F / 5.0F;
    sum = sum * square + 1.0F / 3.0F;
    sum = sum * square + 1.0F;
    return (x < 0.0F ? Value{} : x) + 2.0F * z * sum;
}

template <class Value>
ANAMNESIS_INLINE Value raise_decay(const ChannelGate& gate, Value y) {
    return exp_of_negative(gate.lower_bound != 0.0F ? gate.lower_bound * sigmoid(gate.rate * y)
                                                    : -gate.rate * softplus(y));
}

ANAMNESIS_INLINE void raise_channel_decays_body(const ChannelGate& gate,
                                                float* decays,
                                                std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(decays + i, raise_decay(gate, load(gate.input + i) + load(gate.bias + i)));
    }
    for (; i < count; ++i) {
        decays[i] = raise_decay(gate, gate.input[i] + gate.bias[i]);
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

std::size_t channel_recurrence_scratch(std::size_t key_dim, std::size_t value_dim) {
    return lanes_4::Workspace::count(key_dim, value_dim);
}

ANAMNESIS_KERNEL(void,
                 channel_recurrence,
                 (float* state, const RecurrentChunk& tokens, float* scratch),
                 (state, tokens, scratch))

ANAMNESIS_KERNEL(void,
                 raise_channel_decays,
                 (const ChannelGate& gate, float* decays, std::size_t count),
                 (gate, decays, count))

}  // namespace anamnesis::runtime::cpu

#endif
