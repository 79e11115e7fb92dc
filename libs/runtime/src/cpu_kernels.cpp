// SPDX-License-Identifier: Apache-2.0
#include "cpu_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#define ANAMNESIS_KERNELS "cpu_kernels.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

ANAMNESIS_INLINE float sum_of_squares(const float* x, std::size_t count) {
    Floats partial{};
    std::size_t done = 0;
    for (; done + width <= count; done += width) {
        partial += load(x + done) * load(x + done);
    }
    float squares = horizontal_sum(partial);
    for (; done < count; ++done) {
        squares += x[done] * x[done];
    }
    return squares;
}

ANAMNESIS_INLINE void rms_norm_body(const float* x, const Norm& norm, float* y, std::size_t rows) {
    for (std::size_t r = 0; r < rows; ++r) {
        const float* row = x + r * norm.columns;
        const float squares = sum_of_squares(row, norm.columns);
        const float factor =
            1.0F / std::sqrt(squares / static_cast<float>(norm.columns) + norm.eps);
        for (std::size_t i = 0; i < norm.columns; ++i) {
            y[r * norm.columns + i] = (norm.offset + norm.gain[i]) * (row[i] * factor);
        }
    }
}

ANAMNESIS_INLINE void l2_normalise_body(float* x, float eps, std::size_t count) {
    const float factor = 1.0F / std::sqrt(sum_of_squares(x, count) + eps);
    for (std::size_t i = 0; i < count; ++i) {
        x[i] *= factor;
    }
}

ANAMNESIS_INLINE void swiglu_body(float* gate, const float* up, std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(gate + i, silu(load(gate + i)) * load(up + i));
    }
    for (; i < count; ++i) {
        gate[i] = silu(gate[i]) * up[i];
    }
}

ANAMNESIS_INLINE void swiglu_body(Bf16* gate, const Bf16* up, std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(gate + i, silu(load(gate + i)) * load(up + i));
    }
    for (; i < count; ++i) {
        gate[i] = rounded(silu(to_float(gate[i])) * to_float(up[i]));
    }
}

ANAMNESIS_INLINE void silu_body(float* x, std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(x + i, silu(load(x + i)));
    }
    for (; i < count; ++i) {
        x[i] = silu(x[i]);
    }
}

ANAMNESIS_INLINE void multiply_by_sigmoid_body(float* y, const float* gate, std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(y + i, load(y + i) * sigmoid(load(gate + i)));
    }
    for (; i < count; ++i) {
        y[i] *= sigmoid(gate[i]);
    }
}

ANAMNESIS_INLINE float advance_softmax_body(
    SoftmaxRow& row, float* scores, std::size_t begin, std::size_t end, std::size_t block) {
    std::fill(scores, scores + std::min(begin, block), 0.0F);
    std::fill(scores + std::min(std::max(begin, end), block), scores + block, 0.0F);
    if (begin >= end) {
        return 1.0F;
    }
    float maximum = row.maximum;
    Floats highest = broadcast(maximum);
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
    float sum = horizontal_sum(partial);
    for (; i < end; ++i) {
        scores[i] = exp_of_negative(scores[i] - maximum);
        sum += scores[i];
    }
    const float shrink = std::exp(row.maximum - maximum);
    row.sum = row.sum * shrink + sum;
    row.maximum = maximum;
    return shrink;
}

ANAMNESIS_INLINE void widen_body(const Bf16* source, float* target, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        target[i] = to_float(source[i]);
    }
}

ANAMNESIS_INLINE void narrow_body(const float* source, Bf16* target, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        target[i] = rounded(source[i]);
    }
}

ANAMNESIS_INLINE void rotate_body(float* head,
                                  const float* cosine,
                                  const float* sine,
                                  std::size_t pairs) {
    for (std::size_t j = 0; j < pairs; ++j) {
        const float first = head[j];
        const float second = head[j + pairs];
        head[j] = first * cosine[j] - second * sine[j];
        head[j + pairs] = second * cosine[j] + first * sine[j];
    }
}

ANAMNESIS_INLINE void convolve_body(const float* const* inputs,
                                    const float* kernel,
                                    const float* bias,
                                    float* y,
                                    std::size_t taps,
                                    std::size_t channels) {
    if (bias == nullptr) {
        std::fill(y, y + channels, 0.0F);
    } else {
        std::copy(bias, bias + channels, y);
    }
    for (std::size_t c = 0; c < channels; ++c) {
        y[c] += kernel[c] * inputs[0][c];
    }
    for (std::size_t w = 1; w < taps; ++w) {
        const float* row = inputs[w];
        const float* weights = kernel + w * channels;
        for (std::size_t c = 0; c < channels; ++c) {
            y[c] += weights[c] * row[c];
        }
    }
}

ANAMNESIS_INLINE void convolve_next_body(const ConvolutionStep& step,
                                         float* y,
                                         std::size_t begin,
                                         std::size_t end) {
    const std::size_t before = step.taps - 1;
    for (std::size_t c = begin; c < end; ++c) {
        y[c] = (step.bias == nullptr ? 0.0F : step.bias[c]) +
               step.kernel[c * step.taps + before] * step.x[c];
    }
    for (std::size_t w = 0; w < before; ++w) {
        const bool is_newest = w + 1 == before;
        float* row = step.past + w * step.channels;
        const float* next = is_newest ? step.x : row + step.channels;
        for (std::size_t c = begin; c < end; ++c) {
            y[c] += step.kernel[c * step.taps + w] * row[c];
            row[c] = next[c];
        }
    }
}

ANAMNESIS_INLINE void scale_body(float* values, float factor, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        values[i] *= factor;
    }
}

ANAMNESIS_INLINE void softcap_body(float* scores, float cap, std::size_t count) {
    const float inverse = 1.0F / cap;
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        store(scores + i, hyperbolic_tangent(load(scores + i) * inverse) * cap);
    }
    for (; i < count; ++i) {
        scores[i] = hyperbolic_tangent(scores[i] * inverse) * cap;
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

bool has_bf16_products() noexcept {
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16") != 0;
#else
    return false;
#endif
}

bool has_bf16_tiles() noexcept {
#if defined(__x86_64__)
    return __builtin_cpu_supports("amx-bf16") != 0;
#else
    return false;
#endif
}

ANAMNESIS_KERNEL(void,
                 widen,
                 (const Bf16* source, float* target, std::size_t count),
                 (source, target, count))

ANAMNESIS_KERNEL(void,
                 narrow,
                 (const float* source, Bf16* target, std::size_t count),
                 (source, target, count))

ANAMNESIS_KERNEL(void,
                 rms_norm,
                 (const float* x, const Norm& norm, float* y, std::size_t rows),
                 (x, norm, y, rows))

ANAMNESIS_KERNEL(void, l2_normalise, (float* x, float eps, std::size_t count), (x, eps, count))

ANAMNESIS_KERNEL(void,
                 rotate,
                 (float* head, const float* cosine, const float* sine, std::size_t pairs),
                 (head, cosine, sine, pairs))

ANAMNESIS_KERNEL(void, swiglu, (float* gate, const float* up, std::size_t count), (gate, up, count))

ANAMNESIS_KERNEL(void, swiglu, (Bf16 * gate, const Bf16* up, std::size_t count), (gate, up, count))

ANAMNESIS_KERNEL(void, silu, (float* x, std::size_t count), (x, count))

ANAMNESIS_KERNEL(void,
                 multiply_by_sigmoid,
                 (float* y, const float* gate, std::size_t count),
                 (y, gate, count))

ANAMNESIS_KERNEL(void,
                 convolve,
                 (const float* const* inputs,
                  const float* kernel,
                  const float* bias,
                  float* y,
                  std::size_t taps,
                  std::size_t channels),
                 (inputs, kernel, bias, y, taps, channels))

ANAMNESIS_KERNEL(void,
                 convolve_next,
                 (const ConvolutionStep& step, float* y, std::size_t begin, std::size_t end),
                 (step, y, begin, end))

ANAMNESIS_KERNEL(
    float,
    advance_softmax,
    (SoftmaxRow & row, float* scores, std::size_t begin, std::size_t end, std::size_t block),
    (row, scores, begin, end, block))

ANAMNESIS_KERNEL(void,
                 scale,
                 (float* values, float factor, std::size_t count),
                 (values, factor, count))

ANAMNESIS_KERNEL(void, softcap, (float* scores, float cap, std::size_t count), (scores, cap, count))

}  // namespace anamnesis::runtime::cpu

#endif
