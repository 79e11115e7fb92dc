// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu_kernels.hpp"

namespace anamnesis::runtime::cpu {

/// What training runs forwards and backwards on the CPU, compiled like cpu_kernels.hpp: plain loops
/// on one thread. `d_y` is the gradient of the loss by y.

/// The backward pass of `rms_norm`; `d_gain` is added to.
/// Shapes: x, d_y, d_x [rows, columns], gain, d_gain [columns].
void rms_norm_backward(const float* x,
                       const float* gain,
                       float eps,
                       const float* d_y,
                       float* d_x,
                       float* d_gain,
                       std::size_t rows,
                       std::size_t columns);

/// y = silu(gate) * up.
void swiglu_forward(const float* gate, const float* up, float* y, std::size_t count);
void swiglu_backward(const float* gate,
                     const float* up,
                     const float* d_y,
                     float* d_gate,
                     float* d_up,
                     std::size_t count);

/// The same backwards in bfloat16, which makes y again.
struct SwiGluValues {
    const Bf16* gate = nullptr;
    const Bf16* up = nullptr;
    const Bf16* d_y = nullptr;
};
struct SwiGluTargets {
    Bf16* y = nullptr;
    Bf16* d_gate = nullptr;
    Bf16* d_up = nullptr;
};
void swiglu_backward(const SwiGluValues& values,
                     const SwiGluTargets& targets,
                     std::size_t begin,
                     std::size_t end);

/// y = x * sigmoid(gate).
void gated_forward(const float* x, const float* gate, float* y, std::size_t count);
void gated_backward(const float* x,
                    const float* gate,
                    const float* d_y,
                    float* d_x,
                    float* d_gate,
                    std::size_t count);

/// y: the halves of the first 2 * pairs values of a head turned, by -1 back; the others as they
/// are. Shapes: head, y [head_dim], cosine, sine [pairs].
void rotate_to(const float* head,
               const float* cosine,
               const float* sine,
               float direction,
               float* y,
               std::size_t pairs,
               std::size_t head_dim);

/// The losses of `rows` predictions, each times its weight, summed, and the gradient of that sum,
/// which may take the place of the logits.
/// Shapes: logits, d_logits [rows, classes], targets, weights [rows].
double cross_entropy(const float* logits,
                     const std::int64_t* targets,
                     const float* weights,
                     float* d_logits,
                     std::size_t rows,
                     std::size_t classes);

/// One head of lightning attention over a whole text, in chunks: o_t = scale * S_t^T q_t with
/// S_t = e^decay S_{t-1} + k_t v_t^T. Rows lie `*_stride` apart.
struct LightningHead {
    const float* q = nullptr;
    const float* k = nullptr;
    const float* v = nullptr;
    std::size_t length = 0;
    std::size_t key_dim = 0;
    std::size_t value_dim = 0;
    std::size_t key_stride = 0;
    std::size_t value_stride = 0;
    float decay = 0.0F;  ///< a logarithm, at most 0
    float scale = 1.0F;
};
inline constexpr std::size_t lightning_chunk = 64;

/// Values of memory that a head needs for its work, and of the states that enter its chunks.
std::size_t lightning_scratch(std::size_t key_dim, std::size_t value_dim);
std::size_t lightning_states(std::size_t length, std::size_t key_dim, std::size_t value_dim);

/// Writes the outputs, and to `states` what the backward pass needs.
void lightning_forward(const LightningHead& head, float* out, float* states, float* scratch);
/// Writes the gradients by q, k and v, whose rows lie as those of q, k and v.
void lightning_backward(const LightningHead& head,
                        const float* states,
                        const float* d_out,
                        float* d_q,
                        float* d_k,
                        float* d_v,
                        float* scratch);

}  // namespace anamnesis::runtime::cpu
