// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view gate = "gate";
inline constexpr std::string_view up = "up";
inline constexpr std::string_view gate_up = "gate_up";  ///< all gate rows, then all up rows
inline constexpr std::string_view down = "down";

}  // namespace role

enum class Activation : std::uint8_t {
    silu,
    gelu,       ///< with the error function
    gelu_tanh,  ///< its approximation: "gelu_new", "gelu_pytorch_tanh"
    squared_relu,
    /// a(g) u = (u + 1) g sigmoid(alpha g) with g at most `limit` and u within it (gpt-oss).
    clamped_swiglu,
};
std::string_view to_string(Activation activation) noexcept;

/// down(a(gate(x)) * up(x)), or down(a(up(x))) without a gate.
/// Source: Shazeer 2020, "GLU Variants Improve Transformer".
struct DenseSpec {
    std::uint32_t width = 0;
    Activation activation = Activation::silu;
    bool is_gated = true;
    bool is_fused = false;  ///< gate and up are one matrix
    /// As the reference has it, whatever the file holds; absent: where the file has them.
    std::optional<bool> has_biases{};
    double gate_scale = 1.0;    ///< of the gate before its activation (Falcon-H1)
    double output_scale = 1.0;  ///< of the whole
    double alpha = 1.702;       ///< of clamped_swiglu
    double limit = 7.0;         ///< of clamped_swiglu
};

void list_tensors(const DenseSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
