// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace anamnesis::runtime::cpu {

/// Channels that one pass of Mamba-1's recurrence moves together, one in each lane.
inline constexpr std::size_t scan_lanes = 16;
/// Tokens between the states that a backward pass starts from.
inline constexpr std::size_t scan_chunk = 64;

/// A text of Mamba-1's recurrence: S = e^(step_t rate) S + step_t x_t b_t^T, y_t = S c_t + skip
/// x_t, for each channel. Plain loops on one thread, compiled like cpu_kernels.hpp. Shapes: x, step
/// [T, channels], rate [channels, states], b, c [T, states], skip [channels]. Units: rates are
/// below 0.
struct ScanText {
    const float* x = nullptr;
    const float* step = nullptr;
    const float* rate = nullptr;
    const float* b = nullptr;
    const float* c = nullptr;
    const float* skip = nullptr;
    std::size_t length = 0;
    std::size_t channels = 0;
    std::size_t states = 0;
};

/// Values of memory that either pass needs for its work, and of the states that enter the chunks
/// of one pass.
std::size_t scan_scratch(std::size_t states);
std::size_t scan_checkpoints(std::size_t length, std::size_t states);

/// Channels from `first` on, at most `scan_lanes`: writes y, moves the state on, and writes to
/// `checkpoints`, which may be null, what the backward pass needs.
/// Shapes: state [channels, states], y [T, channels].
void scan_forward(const ScanText& text,
                  std::size_t first,
                  float* state,
                  float* y,
                  float* checkpoints,
                  float* scratch);

/// The gradients of a loss: by y and by the last state they are given. Those by x, steps and the
/// first state are written; the others are added to, because texts or channels share them.
/// Shapes: as what they are gradients of.
struct ScanGradients {
    const float* d_y = nullptr;
    const float* d_last = nullptr;
    float* d_x = nullptr;
    float* d_step = nullptr;
    float* d_first = nullptr;
    float* d_rate = nullptr;
    float* d_b = nullptr;
    float* d_c = nullptr;
    float* d_skip = nullptr;
};
/// The same channels backwards.
void scan_backward(const ScanText& text,
                   std::size_t first,
                   const float* checkpoints,
                   const ScanGradients& gradients,
                   float* scratch);

}  // namespace anamnesis::runtime::cpu
