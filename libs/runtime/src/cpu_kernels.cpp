// SPDX-License-Identifier: Apache-2.0
#include "cpu_kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

// One function body, several instruction sets; the loader picks.
#if defined(__x86_64__)
#define ANAMNESIS_FOR_EACH_CPU \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ANAMNESIS_FOR_EACH_CPU
#endif

namespace anamnesis::runtime::cpu {
namespace {

// Inlined into each clone, so that it is compiled for the clone's instructions.
#define ANAMNESIS_INLINE __attribute__((always_inline)) inline

// Vectors of a fixed width, which the compiler maps to whatever registers a clone has.
constexpr std::size_t width = 8;
using Floats = float __attribute__((vector_size(width * sizeof(float))));
using Words = std::uint32_t __attribute__((vector_size(width * sizeof(std::uint32_t))));
using Halves = std::uint16_t __attribute__((vector_size(width * sizeof(std::uint16_t))));

ANAMNESIS_INLINE Floats load(const float* source) {
    Floats values;
    std::memcpy(&values, source, sizeof values);
    return values;
}

ANAMNESIS_INLINE Floats load(const Bf16* source) {
    Halves bits;
    std::memcpy(&bits, source, sizeof bits);
    return std::bit_cast<Floats>(__builtin_convertvector(bits, Words) << 16U);
}

ANAMNESIS_INLINE void store(float* target, Floats values) {
    std::memcpy(target, &values, sizeof values);
}

ANAMNESIS_INLINE float value_of(Bf16 bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

ANAMNESIS_INLINE float value_of(float value) {
    return value;
}

ANAMNESIS_INLINE Floats all_of(float value) {
    return Floats{} + value;
}

ANAMNESIS_INLINE float total_of(Floats values) {
    float total = 0.0F;
    for (std::size_t lane = 0; lane < width; ++lane) {
        total += values[lane];
    }
    return total;
}

/// exp(x) for x <= 0, to 2 ulp; 0 far below. Float or vector.
/// Source: Cephes expf (Moshier), without branches.
template <class Value, class Bits>
ANAMNESIS_INLINE Value exp_of_negative(Value x) {
    constexpr float shifter = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
    const Value clamped = x < -87.0F ? Value{} - 87.0F : x;
    const Value shifted = clamped * 1.44269504F + shifter;
    const Value whole = shifted - shifter;
    const Value rest = clamped - whole * 0.693359375F - whole * -2.12194440e-4F;
    Value p = rest * 1.9875691500e-4F + 1.3981999507e-3F;
    p = p * rest + 8.3334519073e-3F;
    p = p * rest + 4.1665795894e-2F;
    p = p * rest + 1.6666665459e-1F;
    p = p * rest + 5.0000001201e-1F;
    p = p * rest * rest + rest + 1.0F;
    const Bits power = std::bit_cast<Bits>(shifted) << 23U;
    return std::bit_cast<Value>(std::bit_cast<Bits>(p) + power);
}

ANAMNESIS_INLINE Floats exp_of_negative(Floats x) {
    return exp_of_negative<Floats, Words>(x);
}

ANAMNESIS_INLINE float exp_of_negative(float x) {
    return exp_of_negative<float, std::uint32_t>(x);
}

template <class Value>
ANAMNESIS_INLINE Value silu(Value x) {
    const Value small = exp_of_negative(x < 0.0F ? x : -x);
    return x * (x < 0.0F ? small : Value{} + 1.0F) / (small + 1.0F);
}

/// Rows of one matrix times one vector.
template <std::size_t Rows, class Weight>
ANAMNESIS_INLINE void dots(
    const Weight* rows, std::size_t stride, const float* x, std::size_t count, float* totals) {
    Floats sums[Rows][2] = {};
    std::size_t i = 0;
    for (; i + 2 * width <= count; i += 2 * width) {
        const Floats first = load(x + i);
        const Floats second = load(x + i + width);
        for (std::size_t r = 0; r < Rows; ++r) {
            sums[r][0] += load(rows + r * stride + i) * first;
            sums[r][1] += load(rows + r * stride + i + width) * second;
        }
    }
    for (std::size_t r = 0; r < Rows; ++r) {
        float total = total_of(sums[r][0] + sums[r][1]);
        for (std::size_t rest = i; rest < count; ++rest) {
            total += value_of(rows[r * stride + rest]) * x[rest];
        }
        totals[r] = total;
    }
}

/// One row of a matrix times several vectors.
template <std::size_t Vectors, class Weight>
ANAMNESIS_INLINE void dots_with(
    const Weight* row, const float* x, std::size_t stride, std::size_t count, float* totals) {
    Floats sums[Vectors] = {};
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        const Floats weight = load(row + i);
        for (std::size_t r = 0; r < Vectors; ++r) {
            sums[r] += weight * load(x + r * stride + i);
        }
    }
    for (std::size_t r = 0; r < Vectors; ++r) {
        totals[r] = total_of(sums[r]);
        for (std::size_t rest = i; rest < count; ++rest) {
            totals[r] += value_of(row[rest]) * x[r * stride + rest];
        }
    }
}

template <class Weight>
ANAMNESIS_INLINE void product_of(const Weight* weight,
                                 const FewRows& p,
                                 std::size_t begin,
                                 std::size_t end) {
    if (p.rows == 1) {
        std::size_t o = begin;
        // Four streams at once keep the memory busy.
        for (; o + 4 <= end; o += 4) {
            dots<4>(weight + o * p.inputs, p.inputs, p.x, p.inputs, p.y + o);
        }
        for (; o < end; ++o) {
            dots<1>(weight + o * p.inputs, p.inputs, p.x, p.inputs, p.y + o);
        }
        return;
    }
    for (std::size_t o = begin; o < end; ++o) {
        const Weight* row = weight + o * p.inputs;
        float totals[4];
        for (std::size_t r = 0; r < p.rows; r += 4) {
            const float* x = p.x + r * p.inputs;
            const std::size_t rows = std::min<std::size_t>(4, p.rows - r);
            switch (rows) {
                case 1:
                    dots_with<1>(row, x, p.inputs, p.inputs, totals);
                    break;
                case 2:
                    dots_with<2>(row, x, p.inputs, p.inputs, totals);
                    break;
                case 3:
                    dots_with<3>(row, x, p.inputs, p.inputs, totals);
                    break;
                default:
                    dots_with<4>(row, x, p.inputs, p.inputs, totals);
            }
            for (std::size_t i = 0; i < rows; ++i) {
                p.y[(r + i) * p.outputs + o] = totals[i];
            }
        }
    }
}

template <class Key>
ANAMNESIS_INLINE void group_scores_of(const float* queries,
                                      const Key* keys,
                                      float* scores,
                                      const KeyBlock& block) {
    for (std::size_t g = 0; g < block.group; ++g) {
        const float* query = queries + g * block.dim;
        std::size_t j = 0;
        for (; j + 4 <= block.count; j += 4) {
            dots<4>(
                keys + j * block.dim, block.dim, query, block.dim, scores + g * block.stride + j);
        }
        for (; j < block.count; ++j) {
            dots<1>(
                keys + j * block.dim, block.dim, query, block.dim, scores + g * block.stride + j);
        }
    }
}

template <class Value>
ANAMNESIS_INLINE void group_sums_of(const float* weights,
                                    const Value* values,
                                    float* sums,
                                    const KeyBlock& block) {
    constexpr std::size_t strip = 4 * width;
    for (std::size_t g = 0; g < block.group; ++g) {
        const float* weight = weights + g * block.stride;
        float* sum = sums + g * block.dim;
        std::size_t d = 0;
        for (; d + strip <= block.dim; d += strip) {
            Floats held[4] = {load(sum + d),
                              load(sum + d + width),
                              load(sum + d + 2 * width),
                              load(sum + d + 3 * width)};
            for (std::size_t j = 0; j < block.count; ++j) {
                const Value* value = values + j * block.dim + d;
                for (std::size_t i = 0; i < 4; ++i) {
                    held[i] += weight[j] * load(value + i * width);
                }
            }
            for (std::size_t i = 0; i < 4; ++i) {
                store(sum + d + i * width, held[i]);
            }
        }
        for (; d < block.dim; ++d) {
            for (std::size_t j = 0; j < block.count; ++j) {
                sum[d] += weight[j] * value_of(values[j * block.dim + d]);
            }
        }
    }
}

}  // namespace

bool has_bf16_products() noexcept {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16") != 0;
#else
    return false;
#endif
}

ANAMNESIS_FOR_EACH_CPU
void widen(const Bf16* source, float* target, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        target[i] = value_of(source[i]);
    }
}

ANAMNESIS_FOR_EACH_CPU
void narrow(const float* source, Bf16* target, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(source[i]);
        // To nearest, ties to even; a NaN stays one.
        const std::uint32_t rounded = (bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U;
        const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
        target[i] = static_cast<Bf16>(is_nan ? (bits >> 16U) | 0x40U : rounded);
    }
}

ANAMNESIS_FOR_EACH_CPU
void product(const Bf16* weight, const FewRows& product, std::size_t begin, std::size_t end) {
    product_of(weight, product, begin, end);
}

ANAMNESIS_FOR_EACH_CPU
void product(const float* weight, const FewRows& product, std::size_t begin, std::size_t end) {
    product_of(weight, product, begin, end);
}

ANAMNESIS_FOR_EACH_CPU
void rms_norm(
    const float* x, const float* gain, float eps, float* y, std::size_t rows, std::size_t columns) {
    for (std::size_t r = 0; r < rows; ++r) {
        const float* row = x + r * columns;
        float squares = 0.0F;
        dots<1>(row, columns, row, columns, &squares);
        const float factor = 1.0F / std::sqrt(squares / static_cast<float>(columns) + eps);
        for (std::size_t i = 0; i < columns; ++i) {
            y[r * columns + i] = gain[i] * (row[i] * factor);
        }
    }
}

ANAMNESIS_FOR_EACH_CPU
void rotate(float* head, const float* cosine, const float* sine, std::size_t pairs) {
    for (std::size_t j = 0; j < pairs; ++j) {
        const float first = head[j];
        const float second = head[j + pairs];
        head[j] = first * cosine[j] - second * sine[j];
        head[j + pairs] = second * cosine[j] + first * sine[j];
    }
}

ANAMNESIS_FOR_EACH_CPU
void swiglu(float* gate, const float* up, std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(gate + i, silu(load(gate + i)) * load(up + i));
    }
    for (; i < count; ++i) {
        gate[i] = silu(gate[i]) * up[i];
    }
}

ANAMNESIS_FOR_EACH_CPU
float advance_softmax(
    SoftmaxRow& row, float* scores, std::size_t begin, std::size_t end, std::size_t block) {
    std::fill(scores, scores + std::min(begin, block), 0.0F);
    std::fill(scores + std::min(std::max(begin, end), block), scores + block, 0.0F);
    if (begin >= end) {
        return 1.0F;
    }
    float maximum = row.maximum;
    Floats highest = all_of(maximum);
    std::size_t i = begin;
    for (; i + width <= end; i += width) {
        const Floats score = load(scores + i);
        highest = highest < score ? score : highest;
    }
    for (; i < end; ++i) {
        maximum = std::max(maximum, scores[i]);
    }
    for (std::size_t lane = 0; lane < width; ++lane) {
        maximum = std::max(maximum, highest[lane]);
    }
    Floats partial{};
    for (i = begin; i + width <= end; i += width) {
        const Floats weight = exp_of_negative(load(scores + i) - maximum);
        store(scores + i, weight);
        partial += weight;
    }
    float sum = total_of(partial);
    for (; i < end; ++i) {
        scores[i] = exp_of_negative(scores[i] - maximum);
        sum += scores[i];
    }
    const float shrink = std::exp(row.maximum - maximum);
    row.sum = row.sum * shrink + sum;
    row.maximum = maximum;
    return shrink;
}

ANAMNESIS_FOR_EACH_CPU
void scale(float* values, float factor, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        values[i] *= factor;
    }
}

ANAMNESIS_FOR_EACH_CPU
void group_scores(const float* queries, const Bf16* keys, float* scores, const KeyBlock& block) {
    group_scores_of(queries, keys, scores, block);
}

ANAMNESIS_FOR_EACH_CPU
void group_scores(const float* queries, const float* keys, float* scores, const KeyBlock& block) {
    group_scores_of(queries, keys, scores, block);
}

ANAMNESIS_FOR_EACH_CPU
void group_sums(const float* weights, const Bf16* values, float* sums, const KeyBlock& block) {
    group_sums_of(weights, values, sums, block);
}

ANAMNESIS_FOR_EACH_CPU
void group_sums(const float* weights, const float* values, float* sums, const KeyBlock& block) {
    group_sums_of(weights, values, sums, block);
}

ANAMNESIS_FOR_EACH_CPU
void recurrent_step(float* state, const RecurrentStep& step, float* scratch) {
    const std::size_t width = step.value_dim;
    for (std::size_t c = 0; c < width; ++c) {
        scratch[c] = step.v[c];
    }
    if (step.corrects) {
        for (std::size_t r = 0; r < step.key_dim; ++r) {
            const float weight = step.decay * step.k[r];
            const float* row = state + r * width;
            for (std::size_t c = 0; c < width; ++c) {
                scratch[c] -= weight * row[c];
            }
        }
    }
    for (std::size_t c = 0; c < width; ++c) {
        scratch[c] *= step.beta;
        step.out[c] = 0.0F;
    }
    for (std::size_t r = 0; r < step.key_dim; ++r) {
        float* row = state + r * width;
        const float key = step.k[r];
        const float query = step.scale * step.q[r];
        for (std::size_t c = 0; c < width; ++c) {
            const float updated = step.decay * row[c] + key * scratch[c];
            row[c] = updated;
            step.out[c] += query * updated;
        }
    }
}

ANAMNESIS_FOR_EACH_CPU
void solve_unit_lower(const float* lower, float* right, std::size_t size, std::size_t columns) {
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

}  // namespace anamnesis::runtime::cpu
