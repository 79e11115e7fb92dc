// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/text.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

inline constexpr std::string_view router = "router";
inline constexpr std::string_view shared_gate = "shared.gate";
inline constexpr std::string_view shared_up = "shared.up";
inline constexpr std::string_view shared_down = "shared.down";
inline constexpr std::string_view shared_weight = "shared_weight";
inline constexpr std::string_view experts_gate_up = "experts.gate_up";  ///< all in one tensor
inline constexpr std::string_view experts_down = "experts.down";

/// `part` of one expert: "expert.3.gate".
inline std::string expert(std::uint32_t index, std::string_view part) {
    return format("expert.{}.{}", index, part);
}

}  // namespace role

/// SwiGLU experts after a router, and one that every token takes.
/// Source: transformers 5.23, modeling_qwen3_next.py.
struct MixtureSpec {
    std::uint32_t experts = 0;
    std::uint32_t experts_per_token = 0;
    std::uint32_t expert_width = 0;
    std::uint32_t shared_width = 0;
    bool is_renormalised = true;  ///< the chosen experts' weights sum to one
};

/// Experts one by one, as written to disk, or in two tensors, as transformers 5 has them in memory.
void list_tensors(const MixtureSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
