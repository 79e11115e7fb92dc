// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view gate = "gate";
inline constexpr std::string_view up = "up";
inline constexpr std::string_view down = "down";

}  // namespace role

/// SwiGLU: down(silu(gate(x)) * up(x)).
/// Source: Shazeer 2020, "GLU Variants Improve Transformer".
struct DenseSpec {
    std::uint32_t width = 0;
};

void list_tensors(const DenseSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
