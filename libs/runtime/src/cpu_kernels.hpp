// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace anamnesis::runtime::cpu {

/// Plain loops that LibTorch has no fast form of, compiled for several instruction sets, of which
/// each call takes the processor's own. All of them work on one thread.

/// A bfloat16 as it lies in memory.
using Bf16 = std::uint16_t;

/// The next whole number of vectors of any width.
constexpr std::size_t padded(std::size_t count) {
    constexpr std::size_t widest = 16;
    return (count + widest - 1) / widest * widest;
}

/// True where products of bfloat16 run on instructions of their own.
bool has_bf16_products() noexcept;
/// True where a unit of the processor multiplies whole tiles of bfloat16 (AMX).
bool has_bf16_tiles() noexcept;

void widen(const Bf16* source, float* target, std::size_t count);
void narrow(const float* source, Bf16* target, std::size_t count);

/// y[r][o] = x[r] . weight[o] for the outputs [begin, end).
/// Each row is summed by itself and in one order, whatever is beside it.
/// Shapes: weight [outputs, inputs], x [rows, inputs], y [rows, outputs].
struct FewRows {
    const float* x = nullptr;
    std::size_t rows = 0;
    std::size_t inputs = 0;
    std::size_t outputs = 0;
    float* y = nullptr;
};
/// Above this a library that packs its factors is faster.
inline constexpr std::size_t most_few_rows = 16;
void product(const Bf16* weight, const FewRows& product, std::size_t begin, std::size_t end);
void product(const float* weight, const FewRows& product, std::size_t begin, std::size_t end);
/// The same of x in bfloat16, in place of `product.x`. Only where has_bf16_products().
void product(
    const Bf16* weight, const Bf16* x, const FewRows& product, std::size_t begin, std::size_t end);

/// Row r of y = (offset + gain) * x / sqrt(mean of squares + eps). y may be x.
/// Shapes: x, y [rows, columns], gain [columns].
struct Norm {
    const float* gain = nullptr;
    float offset = 0.0F;
    float eps = 0.0F;
    std::size_t columns = 0;
};
void rms_norm(const float* x, const Norm& norm, float* y, std::size_t rows);

/// x / sqrt(sum of squares + eps), in place.
void l2_normalise(float* x, float eps, std::size_t count);

/// Turns the halves of the first 2 * pairs values of a head.
/// Shapes: head [>= 2 * pairs], cosine, sine [pairs].
void rotate(float* head, const float* cosine, const float* sine, std::size_t pairs);

/// gate = silu(gate) * up.
void swiglu(float* gate, const float* up, std::size_t count);
void swiglu(Bf16* gate, const Bf16* up, std::size_t count);

/// One token of a convolution of each channel by itself: y[c] = sum_w kernel[w][c] inputs[w][c],
/// plus the bias, which may be null.
/// Shapes: inputs: `taps` rows of [channels], kernel [taps, channels], bias, y [channels].
void convolve(const float* const* inputs,
              const float* kernel,
              const float* bias,
              float* y,
              std::size_t taps,
              std::size_t channels);

/// The next token of the same convolution in channels [begin, end), whose past moves on.
/// Shapes: x, y, bias [channels], kernel [channels, taps], past [taps - 1, channels].
struct ConvolutionStep {
    const float* x = nullptr;
    const float* kernel = nullptr;
    const float* bias = nullptr;  ///< may be null
    float* past = nullptr;
    std::size_t taps = 0;
    std::size_t channels = 0;
};
void convolve_next(const ConvolutionStep& step, float* y, std::size_t begin, std::size_t end);

/// x = silu(x).
void silu(float* x, std::size_t count);

/// y *= sigmoid(gate).
void multiply_by_sigmoid(float* y, const float* gate, std::size_t count);

/// The running softmax of one query over blocks of keys.
struct SoftmaxRow {
    float maximum = -std::numeric_limits<float>::infinity();  ///< of all scores so far
    float sum = 0.0F;                                         ///< of exp(score - maximum)
};
/// Turns scores[begin, end) to exp(score - maximum) under the new maximum and sets the others of
/// the block to 0; returns the factor by which what was summed before shrinks.
float advance_softmax(
    SoftmaxRow& row, float* scores, std::size_t begin, std::size_t end, std::size_t block);

void scale(float* values, float factor, std::size_t count);

/// s = cap * tanh(s / cap).
void softcap(float* scores, float cap, std::size_t count);

/// Keys or values of one kv head against the queries of its group.
struct KeyBlock {
    std::size_t group = 0;   ///< queries that share them
    std::size_t count = 0;   ///< keys
    std::size_t dim = 0;     ///< of a head
    std::size_t stride = 0;  ///< from one query's scores to the next
};

/// scores[g][j] = queries[g] . keys[j].
/// Shapes: queries [group, dim], keys [count, dim], scores [group, stride].
void group_scores(const float* queries, const Bf16* keys, float* scores, const KeyBlock& block);
void group_scores(const float* queries, const float* keys, float* scores, const KeyBlock& block);

/// sums[g] += sum_j weights[g][j] * values[j].
/// Shapes: weights [group, stride], values [count, dim], sums [group, dim].
void group_sums(const float* weights, const Bf16* values, float* sums, const KeyBlock& block);
void group_sums(const float* weights, const float* values, float* sums, const KeyBlock& block);

/// One step of a linear recurrence of one head: S = decay * S; v -= S^T k where `corrects`;
/// S += k (beta v)^T; out = scale * S^T q.
/// Shapes: state [key_dim, value_dim], q, k [key_dim], v, out [value_dim]; out may be v.
struct RecurrentStep {
    const float* q = nullptr;
    const float* k = nullptr;
    const float* v = nullptr;
    float* out = nullptr;
    std::size_t key_dim = 0;
    std::size_t value_dim = 0;
    float decay = 1.0F;
    const float* channel_decays = nullptr;  ///< [key_dim], in place of `decay`; may be null
    float beta = 1.0F;
    float scale = 1.0F;
    bool corrects = false;
};
void recurrent_step(float* state, const RecurrentStep& step);

/// The tokens of one chunk in one head, in matrix form. Rows of q, k, v, scores and out lie
/// `*_stride` apart; decays are logarithms.
struct RecurrentChunk {
    const float* q = nullptr;
    const float* k = nullptr;
    const float* v = nullptr;
    const float* decay = nullptr;
    const float* beta = nullptr;    ///< null: values are added as they are
    const float* scores = nullptr;  ///< q_i . k_j, rows filled up to whole vectors; null: none yet
    const float* steps = nullptr;   ///< factors on the values, as far apart as decays; or null
    float* out = nullptr;
    std::size_t length = 0;
    std::size_t key_dim = 0;
    std::size_t value_dim = 0;
    std::size_t key_stride = 0;
    std::size_t value_stride = 0;
    std::size_t out_stride = 0;
    std::size_t decay_stride = 0;  ///< 0: one for all tokens
    std::size_t beta_stride = 0;
    std::size_t scores_stride = 0;
    float scale = 1.0F;
    float skip = 0.0F;  ///< times the values without their steps, added to the outputs
};
/// Values of `scratch` that a chunk of this length needs.
std::size_t recurrent_chunk_scratch(std::size_t length, std::size_t key_dim, std::size_t value_dim);
/// Moves the state [key_dim, value_dim] over the chunk and writes the outputs.
/// Source: Yang et al. 2024, "Gated Delta Networks", section 3.3.
void recurrent_chunk(float* state, const RecurrentChunk& chunk, float* scratch);

/// Values of `scratch` that `channel_recurrence` needs.
std::size_t channel_recurrence_scratch(std::size_t key_dim, std::size_t value_dim);
/// The same for any number of tokens, each with a decay for every key channel and a beta.
/// Shapes: decay [length, key_dim], rows `decay_stride` apart.
/// Source: Kimi Team 2025, "Kimi Linear", section 3.
void channel_recurrence(float* state, const RecurrentChunk& tokens, float* scratch);

/// What the decays of one head's key channels are made of, y being input + bias.
struct ChannelGate {
    const float* input = nullptr;
    const float* bias = nullptr;
    float rate = 1.0F;
    /// Not 0: the log decay is this times sigmoid(rate y); else -rate softplus(y).
    float lower_bound = 0.0F;
};
/// e to the log decays.
void raise_channel_decays(const ChannelGate& gate, float* decays, std::size_t count);

}  // namespace anamnesis::runtime::cpu
