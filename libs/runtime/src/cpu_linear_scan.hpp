// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace anamnesis::runtime::cpu {

/// Channels [first, first + count) of a text of which each decays by itself, h_t = decay_t h_(t-1)
/// + added_t: plain loops on one thread, compiled like cpu_kernels.hpp. Shapes: decay, added,
/// output [T, channels], state [channels].
struct LinearScanText {
    const float* decay = nullptr;
    std::size_t length = 0;
    std::size_t channels = 0;
    std::size_t first = 0;
    std::size_t count = 0;
};

/// Writes the states after each token, and moves `state` on.
void linear_scan_forward(const LinearScanText& text,
                         const float* added,
                         float* state,
                         float* output);

/// The gradients of a loss. `d_state` is that by the last state, and becomes that by the first.
/// Writes d_decay and d_added.
/// Shapes: output, d_output, d_decay, d_added [T, channels], first_state, d_state [channels].
void linear_scan_backward(const LinearScanText& text,
                          const float* first_state,
                          const float* output,
                          const float* d_output,
                          float* d_state,
                          float* d_decay,
                          float* d_added);

}  // namespace anamnesis::runtime::cpu
