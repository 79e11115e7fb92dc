// SPDX-License-Identifier: Apache-2.0
#include "cpu_kernels.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

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

ANAMNESIS_INLINE float value_of(Bf16 bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

ANAMNESIS_INLINE float value_of(float value) {
    return value;
}

/// exp(x) for x <= 0, to 2 ulp; 0 far below.
/// Source: Cephes expf (Moshier), without branches.
ANAMNESIS_INLINE float exp_of_negative(float x) {
    constexpr float shifter = 12582912.0F;  // 1.5 * 2^23: adding it rounds to a whole number
    const float clamped = x < -87.0F ? -87.0F : x;
    const float shifted = clamped * 1.44269504F + shifter;
    const float whole = shifted - shifter;
    const float rest = clamped - whole * 0.693359375F - whole * -2.12194440e-4F;
    float p = 1.9875691500e-4F;
    p = p * rest + 1.3981999507e-3F;
    p = p * rest + 8.3334519073e-3F;
    p = p * rest + 4.1665795894e-2F;
    p = p * rest + 1.6666665459e-1F;
    p = p * rest + 5.0000001201e-1F;
    p = p * rest * rest + rest + 1.0F;
    const auto power = std::bit_cast<std::uint32_t>(shifted) << 23U;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + power);
}

/// Sums kept apart, so that a loop over them becomes vector instructions without reordering
/// floating-point sums by itself.
constexpr std::size_t lanes = 32;
using Lanes = std::array<float, lanes>;

ANAMNESIS_INLINE float total_of(const Lanes& partial) {
    float total = 0.0F;
    for (const float value : partial) {
        total += value;
    }
    return total;
}

template <class Weight>
ANAMNESIS_INLINE float dot(const Weight* a, const float* b, std::size_t count) {
    Lanes partial{};
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            partial[lane] += value_of(a[i + lane]) * b[i + lane];
        }
    }
    float total = total_of(partial);
    for (; i < count; ++i) {
        total += value_of(a[i]) * b[i];
    }
    return total;
}

template <std::size_t Rows, class Weight>
ANAMNESIS_INLINE void product_of_rows(const Weight* weight,
                                      const FewRows& p,
                                      std::size_t first_row,
                                      std::size_t begin,
                                      std::size_t end) {
    const float* x = p.x + first_row * p.inputs;
    for (std::size_t o = begin; o < end; ++o) {
        const Weight* row = weight + o * p.inputs;
        if constexpr (Rows == 1) {
            p.y[first_row * p.outputs + o] = dot(row, x, p.inputs);
        } else {
            constexpr std::size_t width = 16;
            float partial[Rows][width] = {};
            std::size_t i = 0;
            for (; i + width <= p.inputs; i += width) {
                for (std::size_t lane = 0; lane < width; ++lane) {
                    const float w = value_of(row[i + lane]);
                    for (std::size_t r = 0; r < Rows; ++r) {
                        partial[r][lane] += w * x[r * p.inputs + i + lane];
                    }
                }
            }
            for (std::size_t r = 0; r < Rows; ++r) {
                float total = 0.0F;
                for (const float value : partial[r]) {
                    total += value;
                }
                for (std::size_t rest = i; rest < p.inputs; ++rest) {
                    total += value_of(row[rest]) * x[r * p.inputs + rest];
                }
                p.y[(first_row + r) * p.outputs + o] = total;
            }
        }
    }
}

template <class Weight>
ANAMNESIS_INLINE void product_of(const Weight* weight,
                                 const FewRows& p,
                                 std::size_t begin,
                                 std::size_t end) {
    std::size_t row = 0;
    for (; row + 4 <= p.rows; row += 4) {
        product_of_rows<4>(weight, p, row, begin, end);
    }
    for (; row + 2 <= p.rows; row += 2) {
        product_of_rows<2>(weight, p, row, begin, end);
    }
    if (row < p.rows) {
        product_of_rows<1>(weight, p, row, begin, end);
    }
}

template <class Value>
ANAMNESIS_INLINE void group_sums_of(const float* weights,
                                    const Value* values,
                                    float* sums,
                                    std::size_t group,
                                    std::size_t count,
                                    std::size_t dim,
                                    std::size_t stride) {
    for (std::size_t g = 0; g < group; ++g) {
        float* sum = sums + g * dim;
        for (std::size_t j = 0; j < count; ++j) {
            const float weight = weights[g * stride + j];
            const Value* value = values + j * dim;
            for (std::size_t d = 0; d < dim; ++d) {
                sum[d] += weight * value_of(value[d]);
            }
        }
    }
}

template <class Key>
ANAMNESIS_INLINE void group_scores_of(const float* queries,
                                      const Key* keys,
                                      float* scores,
                                      std::size_t group,
                                      std::size_t count,
                                      std::size_t dim,
                                      std::size_t stride) {
    for (std::size_t j = 0; j < count; ++j) {
        for (std::size_t g = 0; g < group; ++g) {
            scores[g * stride + j] = dot(keys + j * dim, queries + g * dim, dim);
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
    const float* x, const float* gain, float eps, float* y, std::size_t rows, std::size_t width) {
    for (std::size_t r = 0; r < rows; ++r) {
        const float* row = x + r * width;
        const float mean = dot(row, row, width) / static_cast<float>(width);
        const float factor = 1.0F / std::sqrt(mean + eps);
        for (std::size_t i = 0; i < width; ++i) {
            y[r * width + i] = gain[i] * (row[i] * factor);
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
    for (std::size_t i = 0; i < count; ++i) {
        const float x = gate[i];
        const float small = exp_of_negative(x < 0.0F ? x : -x);
        const float sigmoid = (x < 0.0F ? small : 1.0F) / (1.0F + small);
        gate[i] = x * sigmoid * up[i];
    }
}

ANAMNESIS_FOR_EACH_CPU
float advance_softmax(
    SoftmaxRow& row, float* scores, std::size_t begin, std::size_t end, std::size_t block) {
    for (std::size_t j = 0; j < begin; ++j) {
        scores[j] = 0.0F;
    }
    for (std::size_t j = std::max(begin, end); j < block; ++j) {
        scores[j] = 0.0F;
    }
    if (begin >= end) {
        return 1.0F;
    }
    Lanes highest{};
    highest.fill(-std::numeric_limits<float>::infinity());
    std::size_t i = begin;
    for (; i + lanes <= end; i += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            highest[lane] = highest[lane] < scores[i + lane] ? scores[i + lane] : highest[lane];
        }
    }
    float maximum = row.maximum;
    for (; i < end; ++i) {
        maximum = std::max(maximum, scores[i]);
    }
    for (const float value : highest) {
        maximum = std::max(maximum, value);
    }
    Lanes partial{};
    for (i = begin; i + lanes <= end; i += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) {
            const float weight = exp_of_negative(scores[i + lane] - maximum);
            scores[i + lane] = weight;
            partial[lane] += weight;
        }
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
void group_scores(const float* queries,
                  const Bf16* keys,
                  float* scores,
                  std::size_t group,
                  std::size_t count,
                  std::size_t dim,
                  std::size_t stride) {
    group_scores_of(queries, keys, scores, group, count, dim, stride);
}

ANAMNESIS_FOR_EACH_CPU
void group_scores(const float* queries,
                  const float* keys,
                  float* scores,
                  std::size_t group,
                  std::size_t count,
                  std::size_t dim,
                  std::size_t stride) {
    group_scores_of(queries, keys, scores, group, count, dim, stride);
}

ANAMNESIS_FOR_EACH_CPU
void group_sums(const float* weights,
                const Bf16* values,
                float* sums,
                std::size_t group,
                std::size_t count,
                std::size_t dim,
                std::size_t stride) {
    group_sums_of(weights, values, sums, group, count, dim, stride);
}

ANAMNESIS_FOR_EACH_CPU
void group_sums(const float* weights,
                const float* values,
                float* sums,
                std::size_t group,
                std::size_t count,
                std::size_t dim,
                std::size_t stride) {
    group_sums_of(weights, values, sums, group, count, dim, stride);
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
