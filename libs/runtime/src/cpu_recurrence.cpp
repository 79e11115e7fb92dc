// SPDX-License-Identifier: Apache-2.0
//
// Linear recurrences of one head: a token, or a chunk of tokens in matrix form.

#include <algorithm>
#include <cstddef>

#include "cpu_kernels.hpp"

#define ANAMNESIS_KERNELS "cpu_recurrence.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_small_products.hpp"
#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

/// Solves (I + A) X = B in place for a strictly lower triangular A.
/// Shapes: lower [size, size], right [size, columns].
ANAMNESIS_INLINE void solve_unit_lower(const float* lower,
                                       float* right,
                                       std::size_t size,
                                       std::size_t columns) {
    for (std::size_t i = 1; i < size; ++i) {
        float* row = right + i * columns;
        std::size_t j = 0;
        // Four rows at once: each value of the row is loaded and stored a quarter as often.
        for (; j + 4 <= i; j += 4) {
            const float* weights = lower + i * size + j;
            const float* above = right + j * columns;
            for (std::size_t c = 0; c < columns; ++c) {
                row[c] -= weights[0] * above[c] + weights[1] * above[columns + c] +
                          weights[2] * above[2 * columns + c] + weights[3] * above[3 * columns + c];
            }
        }
        for (; j < i; ++j) {
            const float weight = lower[i * size + j];
            const float* above = right + j * columns;
            for (std::size_t c = 0; c < columns; ++c) {
                row[c] -= weight * above[c];
            }
        }
    }
}

/// A chunk in the making. Tokens are filled up to whole vectors with such that change nothing:
/// no key, no value, no decay. What needs no filling stays where it is.
struct Workspace {
    Workspace(const RecurrentChunk& chunk, float* given_state, float* scratch)
        : tokens(padded(chunk.length)), keys(padded(chunk.key_dim)), values(chunk.value_dim) {
        const auto take = [&](std::size_t count) {
            float* taken = scratch;
            scratch += padded(count);
            return taken;
        };
        is_whole = tokens == chunk.length && keys == chunk.key_dim;
        filled_q = take(tokens * keys);
        filled_k = take(tokens * keys);
        transposed = take(keys * tokens);
        added = take(tokens * values);
        from_state = take(tokens * values);
        weights = take(tokens * tokens);
        lower = take(tokens * tokens);
        decays = take(tokens);
        rests = take(tokens);
        factors = take(tokens);
        filled_state = take(keys * values);
        q = is_whole ? Strided{chunk.q, chunk.key_stride, 1} : Strided{filled_q, keys, 1};
        k = is_whole ? Strided{chunk.k, chunk.key_stride, 1} : Strided{filled_k, keys, 1};
        state = keys == chunk.key_dim ? given_state : filled_state;
    }

    std::size_t tokens, keys, values;
    bool is_whole = false;       // tokens and keys need no filling
    float *filled_q, *filled_k;  // [tokens, keys]
    float* transposed;           // [keys, tokens]
    float *added, *from_state;   // [tokens, values]
    float *weights, *lower;      // [tokens, tokens]
    // Running sums of log decays, each as two numbers, so that differences are exact however far
    // the sums are from zero; e to the power of the first.
    float *decays, *rests, *factors;
    float* filled_state;  // [keys, values]
    Strided q, k;         // [tokens, keys]
    float* state;         // [keys, values]
};

ANAMNESIS_INLINE void fill(const float* rows,
                           const RecurrentChunk& chunk,
                           const Workspace& w,
                           float* filled) {
    for (std::size_t t = 0; t < w.tokens; ++t) {
        for (std::size_t d = 0; d < w.keys; ++d) {
            const bool is_value = t < chunk.length && d < chunk.key_dim;
            filled[t * w.keys + d] = is_value ? rows[t * chunk.key_stride + d] : 0.0F;
        }
    }
}

ANAMNESIS_INLINE void gather(const RecurrentChunk& chunk, const Workspace& w) {
    if (!w.is_whole) {
        fill(chunk.q, chunk, w, w.filled_q);
        fill(chunk.k, chunk, w, w.filled_k);
    }
    double running = 0.0;
    for (std::size_t t = 0; t < w.tokens; ++t) {
        const bool is_token = t < chunk.length;
        const float step =
            is_token && chunk.steps != nullptr ? chunk.steps[t * chunk.decay_stride] : 1.0F;
        for (std::size_t d = 0; d < w.values; ++d) {
            w.added[t * w.values + d] =
                is_token ? step * chunk.v[t * chunk.value_stride + d] : 0.0F;
        }
        running += is_token ? chunk.decay[t * chunk.decay_stride] : 0.0F;
        w.decays[t] = static_cast<float>(running);
        w.rests[t] = static_cast<float>(running - static_cast<double>(w.decays[t]));
    }
    for (std::size_t t = 0; t < w.tokens; t += width) {
        store(w.factors + t, exp_of_negative(load(w.decays + t)));
    }
}

/// weights = q k^T, unless they are given, and lower = k k^T where values are corrected.
ANAMNESIS_INLINE void score(const RecurrentChunk& chunk, const Workspace& w) {
    if (chunk.scores != nullptr && chunk.beta == nullptr) {
        return;
    }
    for (std::size_t d = 0; d < w.keys; ++d) {
        for (std::size_t t = 0; t < w.tokens; ++t) {
            w.transposed[d * w.tokens + t] = w.k.data[t * w.k.row + d];
        }
    }
    if (chunk.scores == nullptr) {
        multiply(w.q, w.transposed, w.weights, w.tokens, w.keys, w.tokens, 0.0F);
    }
    if (chunk.beta != nullptr) {
        multiply(w.k, w.transposed, w.lower, w.tokens, w.keys, w.tokens, 0.0F);
    }
}

/// weights[i][j] times scale e^(decay between j and i) up to the diagonal, 0 above; lower the same
/// with beta of its row in place of the scale.
ANAMNESIS_INLINE void decay_scores(const RecurrentChunk& chunk, const Workspace& w) {
    for (std::size_t i = 0; i < w.tokens; ++i) {
        const float beta =
            chunk.beta != nullptr && i < chunk.length ? chunk.beta[i * chunk.beta_stride] : 0.0F;
        float* weights = w.weights + i * w.tokens;
        const float* scores =
            chunk.scores == nullptr ? weights : chunk.scores + i * chunk.scores_stride;
        float* lower = w.lower + i * w.tokens;
        for (std::size_t j = 0; j <= i; j += width) {
            // Later tokens are in the rest of the vector; their powers might overflow.
            const Floats difference =
                (w.decays[i] - load(w.decays + j)) + (w.rests[i] - load(w.rests + j));
            const Floats between =
                exp_of_negative(difference > 80.0F ? Floats{} + 80.0F : difference);
            store(weights + j, chunk.scale * load(scores + j) * between);
            if (chunk.beta != nullptr) {
                store(lower + j, load(lower + j) * between * beta);
            }
        }
        for (std::size_t j = i + 1; j < w.tokens; ++j) {
            weights[j] = 0.0F;
        }
    }
}

/// values = beta (values - e^decay k S), then what they correct in each other.
ANAMNESIS_INLINE void correct(const RecurrentChunk& chunk, const Workspace& w) {
    multiply(w.k, w.state, w.from_state, w.tokens, w.keys, w.values, 0.0F);
    for (std::size_t t = 0; t < chunk.length; ++t) {
        const float beta = chunk.beta[t * chunk.beta_stride];
        const float factor = beta * w.factors[t];
        float* added = w.added + t * w.values;
        for (std::size_t d = 0; d < w.values; ++d) {
            added[d] = beta * added[d] - factor * w.from_state[t * w.values + d];
        }
    }
    solve_unit_lower(w.lower, w.added, w.tokens, w.values);
}

ANAMNESIS_INLINE void write_outputs(const RecurrentChunk& chunk, const Workspace& w) {
    multiply(w.q, w.state, w.from_state, w.tokens, w.keys, w.values, 0.0F);
    for (std::size_t t = 0; t < w.tokens; ++t) {
        const float factor = chunk.scale * w.factors[t];
        for (std::size_t d = 0; d < w.values; ++d) {
            w.from_state[t * w.values + d] *= factor;
        }
    }
    // Later tokens have no weight.
    constexpr std::size_t rows = 4;
    for (std::size_t t = 0; t < w.tokens; t += rows) {
        multiply({w.weights + t * w.tokens, w.tokens, 1},
                 w.added,
                 w.from_state + t * w.values,
                 rows,
                 t + rows,
                 w.values,
                 1.0F);
    }
    for (std::size_t t = 0; t < chunk.length; ++t) {
        for (std::size_t d = 0; d < w.values; ++d) {
            chunk.out[t * chunk.out_stride + d] =
                w.from_state[t * w.values + d] + chunk.skip * chunk.v[t * chunk.value_stride + d];
        }
    }
}

/// S = e^(whole decay) S + sum_t k_t (e^(decay after t) values_t)^T.
ANAMNESIS_INLINE void move_state(const Workspace& w) {
    const float whole = w.decays[w.tokens - 1];
    const float rest = w.rests[w.tokens - 1];
    for (std::size_t t = 0; t < w.tokens; t += width) {
        store(w.factors + t,
              exp_of_negative((whole - load(w.decays + t)) + (rest - load(w.rests + t))));
    }
    for (std::size_t t = 0; t < w.tokens; ++t) {
        for (std::size_t d = 0; d < w.values; ++d) {
            w.added[t * w.values + d] *= w.factors[t];
        }
    }
    const float kept = exp_of_negative(whole);
    multiply({w.k.data, 1, w.k.row}, w.added, w.state, w.keys, w.tokens, w.values, kept);
}

ANAMNESIS_INLINE void recurrent_chunk_body(float* state,
                                           const RecurrentChunk& chunk,
                                           float* scratch) {
    const Workspace w(chunk, state, scratch);
    const std::size_t used = chunk.key_dim * chunk.value_dim;
    if (w.state != state) {
        std::copy(state, state + used, w.state);
        std::fill(w.state + used, w.state + w.keys * w.values, 0.0F);
    }
    gather(chunk, w);
    score(chunk, w);
    decay_scores(chunk, w);
    if (chunk.beta != nullptr) {
        correct(chunk, w);
    }
    write_outputs(chunk, w);
    move_state(w);
    if (w.state != state) {
        std::copy(w.state, w.state + used, state);
    }
}

/// The factor on row r of a state.
template <bool ByChannel>
ANAMNESIS_INLINE float decay_of(const RecurrentStep& step, std::size_t r) {
    return ByChannel ? step.channel_decays[r] : step.decay;
}

/// Columns [first, first + Vectors * width) of a state in one step. Their sums stay in registers.
template <std::size_t Vectors, bool ByChannel>
ANAMNESIS_INLINE void step_columns(float* state, const RecurrentStep& step, std::size_t first) {
    Floats added[Vectors];
    Floats out[Vectors] = {};
    for (std::size_t i = 0; i < Vectors; ++i) {
        added[i] = load(step.v + first + i * width);
    }
    if (step.corrects) {
        Floats held[Vectors] = {};
        for (std::size_t r = 0; r < step.key_dim; ++r) {
            const float key = step.k[r] * decay_of<ByChannel>(step, r);
            for (std::size_t i = 0; i < Vectors; ++i) {
                held[i] += key * load(state + r * step.value_dim + first + i * width);
            }
        }
        for (std::size_t i = 0; i < Vectors; ++i) {
            added[i] -= held[i];
        }
    }
    for (std::size_t i = 0; i < Vectors; ++i) {
        added[i] *= step.beta;
    }
    for (std::size_t r = 0; r < step.key_dim; ++r) {
        float* row = state + r * step.value_dim + first;
        const float decay = decay_of<ByChannel>(step, r);
        for (std::size_t i = 0; i < Vectors; ++i) {
            const Floats updated = decay * load(row + i * width) + step.k[r] * added[i];
            store(row + i * width, updated);
            out[i] += step.q[r] * updated;
        }
    }
    for (std::size_t i = 0; i < Vectors; ++i) {
        store(step.out + first + i * width, step.scale * out[i]);
    }
}

template <bool ByChannel>
ANAMNESIS_INLINE void step_column(float* state, const RecurrentStep& step, std::size_t column) {
    float added = step.v[column];
    for (std::size_t r = 0; step.corrects && r < step.key_dim; ++r) {
        added -= decay_of<ByChannel>(step, r) * step.k[r] * state[r * step.value_dim + column];
    }
    added *= step.beta;
    float out = 0.0F;
    for (std::size_t r = 0; r < step.key_dim; ++r) {
        float& value = state[r * step.value_dim + column];
        value = decay_of<ByChannel>(step, r) * value + step.k[r] * added;
        out += step.q[r] * value;
    }
    step.out[column] = step.scale * out;
}

template <bool ByChannel>
ANAMNESIS_INLINE void recurrent_step_body(float* state, const RecurrentStep& step) {
    constexpr std::size_t vectors = most_sums / 2;  // each has an output and what is added
    std::size_t column = 0;
    for (; column + vectors * width <= step.value_dim; column += vectors * width) {
        step_columns<vectors, ByChannel>(state, step, column);
    }
    for (; column + width <= step.value_dim; column += width) {
        step_columns<1, ByChannel>(state, step, column);
    }
    for (; column < step.value_dim; ++column) {
        step_column<ByChannel>(state, step, column);
    }
}

ANAMNESIS_INLINE void recurrent_step_body(float* state, const RecurrentStep& step) {
    if (step.channel_decays != nullptr) {
        recurrent_step_body<true>(state, step);
    } else {
        recurrent_step_body<false>(state, step);
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

std::size_t recurrent_chunk_scratch(std::size_t length,
                                    std::size_t key_dim,
                                    std::size_t value_dim) {
    const std::size_t tokens = padded(length);
    const std::size_t keys = padded(key_dim);
    return 3 * tokens * keys + 2 * padded(tokens * value_dim) + 2 * tokens * tokens + 3 * tokens +
           padded(keys * value_dim);
}

ANAMNESIS_KERNEL(void,
                 recurrent_chunk,
                 (float* state, const RecurrentChunk& chunk, float* scratch),
                 (state, chunk, scratch))

ANAMNESIS_KERNEL(void, recurrent_step, (float* state, const RecurrentStep& step), (state, step))

}  // namespace anamnesis::runtime::cpu

#endif
