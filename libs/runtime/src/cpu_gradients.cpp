// SPDX-License-Identifier: Apache-2.0
//
// Forward and backward passes of what is between the products of a layer.

#include "cpu_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#define ANAMNESIS_KERNELS "cpu_gradients.cpp"
#include "cpu_each_width.hpp"

#if defined(ANAMNESIS_WIDTH)

#include "cpu_vectors.hpp"

namespace anamnesis::runtime::cpu::ANAMNESIS_LANES {
namespace {

ANAMNESIS_INLINE float dot(const float* a, const float* b, std::size_t count) {
    Floats partial{};
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        partial += load(a + i) * load(b + i);
    }
    float sum = horizontal_sum(partial);
    for (; i < count; ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

ANAMNESIS_INLINE float dot(const float* a, const float* b, const float* c, std::size_t count) {
    Floats partial{};
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        partial += load(a + i) * load(b + i) * load(c + i);
    }
    float sum = horizontal_sum(partial);
    for (; i < count; ++i) {
        sum += a[i] * b[i] * c[i];
    }
    return sum;
}

/// With f = 1 / rms: d_x = f (g d_y - x f^2 mean(g d_y x)), d_g = d_y x f.
ANAMNESIS_INLINE void rms_norm_backward_body(const float* x,
                                             const float* gain,
                                             float eps,
                                             const float* d_y,
                                             float* d_x,
                                             float* d_gain,
                                             std::size_t rows,
                                             std::size_t columns) {
    const float share = 1.0F / static_cast<float>(columns);
    for (std::size_t r = 0; r < rows; ++r) {
        const float* row = x + r * columns;
        const float* d_row = d_y + r * columns;
        const float factor = 1.0F / std::sqrt(dot(row, row, columns) * share + eps);
        const float along = factor * factor * factor * share * dot(gain, d_row, row, columns);
        for (std::size_t i = 0; i < columns; ++i) {
            d_gain[i] += d_row[i] * row[i] * factor;
            d_x[r * columns + i] = factor * gain[i] * d_row[i] - along * row[i];
        }
    }
}

template <class Value>
ANAMNESIS_INLINE Value read(const float* source) {
    Value value;
    std::memcpy(&value, source, sizeof value);
    return value;
}

template <class Value>
ANAMNESIS_INLINE void write(float* target, Value value) {
    std::memcpy(target, &value, sizeof value);
}

// One vector, or one value, at a time.

template <class Value>
ANAMNESIS_INLINE void swiglu_at(const float* gate, const float* up, float* y) {
    write(y, silu(read<Value>(gate)) * read<Value>(up));
}

template <class Value>
ANAMNESIS_INLINE void swiglu_backward_at(
    const float* gate, const float* up, const float* d_y, float* d_gate, float* d_up) {
    const Value g = read<Value>(gate);
    const Value d = read<Value>(d_y);
    const Value s = sigmoid(g);
    write(d_up, d * g * s);
    write(d_gate, d * read<Value>(up) * s * (g * (1.0F - s) + 1.0F));
}

template <class Value>
ANAMNESIS_INLINE void gated_at(const float* x, const float* gate, float* y) {
    write(y, read<Value>(x) * sigmoid(read<Value>(gate)));
}

template <class Value>
ANAMNESIS_INLINE void gated_backward_at(
    const float* x, const float* gate, const float* d_y, float* d_x, float* d_gate) {
    const Value d = read<Value>(d_y);
    const Value s = sigmoid(read<Value>(gate));
    write(d_x, d * s);
    write(d_gate, d * read<Value>(x) * s * (1.0F - s));
}

ANAMNESIS_INLINE void swiglu_forward_body(const float* gate,
                                          const float* up,
                                          float* y,
                                          std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        swiglu_at<Floats>(gate + i, up + i, y + i);
    }
    for (; i < count; ++i) {
        swiglu_at<float>(gate + i, up + i, y + i);
    }
}

ANAMNESIS_INLINE void swiglu_backward_body(const float* gate,
                                           const float* up,
                                           const float* d_y,
                                           float* d_gate,
                                           float* d_up,
                                           std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        swiglu_backward_at<Floats>(gate + i, up + i, d_y + i, d_gate + i, d_up + i);
    }
    for (; i < count; ++i) {
        swiglu_backward_at<float>(gate + i, up + i, d_y + i, d_gate + i, d_up + i);
    }
}

/// One vector, or one value, of a SwiGLU and its gradients.
template <class Value>
struct SwiGluSlopes {
    Value y, d_gate, d_up;
};

template <class Value>
ANAMNESIS_INLINE SwiGluSlopes<Value> find_slopes(Value gate, Value up, Value d_y) {
    const Value s = sigmoid(gate);
    const Value active = gate * s;
    return {.y = active * up,
            .d_gate = d_y * up * s * (gate * (1.0F - s) + 1.0F),
            .d_up = d_y * active};
}

ANAMNESIS_INLINE void swiglu_backward_body(const SwiGluValues& values,
                                           const SwiGluTargets& targets,
                                           std::size_t begin,
                                           std::size_t end) {
    std::size_t i = begin;
    for (; i + width <= end; i += width) {
        const auto slopes =
            find_slopes<Floats>(load(values.gate + i), load(values.up + i), load(values.d_y + i));
        store(targets.y + i, slopes.y);
        store(targets.d_gate + i, slopes.d_gate);
        store(targets.d_up + i, slopes.d_up);
    }
    for (; i < end; ++i) {
        const auto slopes = find_slopes<float>(
            to_float(values.gate[i]), to_float(values.up[i]), to_float(values.d_y[i]));
        targets.y[i] = rounded(slopes.y);
        targets.d_gate[i] = rounded(slopes.d_gate);
        targets.d_up[i] = rounded(slopes.d_up);
    }
}

ANAMNESIS_INLINE void gated_forward_body(const float* x,
                                         const float* gate,
                                         float* y,
                                         std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        gated_at<Floats>(x + i, gate + i, y + i);
    }
    for (; i < count; ++i) {
        gated_at<float>(x + i, gate + i, y + i);
    }
}

ANAMNESIS_INLINE void gated_backward_body(const float* x,
                                          const float* gate,
                                          const float* d_y,
                                          float* d_x,
                                          float* d_gate,
                                          std::size_t count) {
    std::size_t i = 0;
    for (; i + width <= count; i += width) {
        gated_backward_at<Floats>(x + i, gate + i, d_y + i, d_x + i, d_gate + i);
    }
    for (; i < count; ++i) {
        gated_backward_at<float>(x + i, gate + i, d_y + i, d_x + i, d_gate + i);
    }
}

ANAMNESIS_INLINE double cross_entropy_body(const float* logits,
                                           const std::int64_t* targets,
                                           const float* weights,
                                           float* d_logits,
                                           std::size_t rows,
                                           std::size_t classes) {
    double total = 0.0;
    for (std::size_t r = 0; r < rows; ++r) {
        const float* row = logits + r * classes;
        const auto label = static_cast<std::size_t>(targets[r]);
        const auto of_label = static_cast<double>(row[label]);
        float highest = row[0];
        for (std::size_t c = 1; c < classes; ++c) {
            highest = std::max(highest, row[c]);
        }
        float* target = d_logits + r * classes;
        float sum = 0.0F;
        Floats partial{};
        std::size_t c = 0;
        for (; c + width <= classes; c += width) {
            const Floats power = exp_of_negative(load(row + c) - highest);
            store(target + c, power);
            partial += power;
        }
        for (; c < classes; ++c) {
            target[c] = exp_of_negative(row[c] - highest);
            sum += target[c];
        }
        sum += horizontal_sum(partial);
        const double loss =
            std::log(static_cast<double>(sum)) + static_cast<double>(highest) - of_label;
        total += static_cast<double>(weights[r]) * loss;
        const float factor = weights[r] / sum;
        for (c = 0; c < classes; ++c) {
            target[c] *= factor;
        }
        target[label] -= weights[r];
    }
    return total;
}

ANAMNESIS_INLINE void rotate_to_body(const float* head,
                                     const float* cosine,
                                     const float* sine,
                                     float direction,
                                     float* y,
                                     std::size_t pairs,
                                     std::size_t head_dim) {
    for (std::size_t j = 0; j < pairs; ++j) {
        const float turn = direction * sine[j];
        y[j] = head[j] * cosine[j] - head[j + pairs] * turn;
        y[j + pairs] = head[j + pairs] * cosine[j] + head[j] * turn;
    }
    for (std::size_t j = 2 * pairs; j < head_dim; ++j) {
        y[j] = head[j];
    }
}

}  // namespace
}  // namespace anamnesis::runtime::cpu::ANAMNESIS_LANES

#else

namespace anamnesis::runtime::cpu {

ANAMNESIS_KERNEL(void,
                 rms_norm_backward,
                 (const float* x,
                  const float* gain,
                  float eps,
                  const float* d_y,
                  float* d_x,
                  float* d_gain,
                  std::size_t rows,
                  std::size_t columns),
                 (x, gain, eps, d_y, d_x, d_gain, rows, columns))

ANAMNESIS_KERNEL(void,
                 swiglu_forward,
                 (const float* gate, const float* up, float* y, std::size_t count),
                 (gate, up, y, count))

ANAMNESIS_KERNEL(void,
                 swiglu_backward,
                 (const float* gate,
                  const float* up,
                  const float* d_y,
                  float* d_gate,
                  float* d_up,
                  std::size_t count),
                 (gate, up, d_y, d_gate, d_up, count))

ANAMNESIS_KERNEL(
    void,
    swiglu_backward,
    (const SwiGluValues& values, const SwiGluTargets& targets, std::size_t begin, std::size_t end),
    (values, targets, begin, end))

ANAMNESIS_KERNEL(void,
                 gated_forward,
                 (const float* x, const float* gate, float* y, std::size_t count),
                 (x, gate, y, count))

ANAMNESIS_KERNEL(void,
                 gated_backward,
                 (const float* x,
                  const float* gate,
                  const float* d_y,
                  float* d_x,
                  float* d_gate,
                  std::size_t count),
                 (x, gate, d_y, d_x, d_gate, count))

ANAMNESIS_KERNEL(void,
                 rotate_to,
                 (const float* head,
                  const float* cosine,
                  const float* sine,
                  float direction,
                  float* y,
                  std::size_t pairs,
                  std::size_t head_dim),
                 (head, cosine, sine, direction, y, pairs, head_dim))

ANAMNESIS_KERNEL(double,
                 cross_entropy,
                 (const float* logits,
                  const std::int64_t* targets,
                  const float* weights,
                  float* d_logits,
                  std::size_t rows,
                  std::size_t classes),
                 (logits, targets, weights, d_logits, rows, classes))

}  // namespace anamnesis::runtime::cpu

#endif
