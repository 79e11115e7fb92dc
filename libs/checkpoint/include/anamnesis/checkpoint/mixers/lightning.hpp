// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/rotary_settings.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

/// A part that a config states, denies or leaves out; left out, it is not used, though a file may
/// hold its tensors.
enum class Part : std::uint8_t { absent, present, unstated };

/// Where the slopes of a head's decay come from.
enum class Slopes : std::uint8_t {
    alibi,  ///< those of ALiBi (HypeNet)
    plain,  ///< 2^(-8 h / heads) for h from 1, whatever the number of heads
};

/// How rows lie where one matrix makes queries, keys and values.
enum class FusedRows : std::uint8_t {
    none,     ///< three matrices
    by_head,  ///< query, key and value of a head, then of the next (MiniMax)
    blocks,   ///< all queries, all keys, all values (Ling, Ring)
};

/// Linear attention with a fixed decay for each head.
/// Source: Qin et al. 2024, "Lightning Attention-2"; Chen et al. 2026, "HypeNet".
struct LightningSpec {
    HeadLayout heads{};
    double scale = 1.0;
    std::optional<RotarySettings> rotary{};
    Part qk_norm = Part::absent;
    Part output_norm = Part::absent;  ///< over all heads together, unless in groups
    std::uint32_t norm_groups = 1;    ///< of neighbours, each of which is normalised by itself
    Part output_gate = Part::absent;
    std::optional<double> output_eps{};  ///< of the output norm; absent: the model's
    Slopes slopes = Slopes::alibi;
    double slope_scale = 1.0;  ///< of all slopes of the layer
    FusedRows fused = FusedRows::none;
    bool is_activated = false;  ///< silu of q, k and v
};

/// Lists q_proj, k_proj, v_proj, o_proj, gains, and `z_proj` for the gate.
void list_tensors(const LightningSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
