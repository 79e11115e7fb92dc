// SPDX-License-Identifier: Apache-2.0
#include "moment_memory.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "anamnesis/base/index.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::calibration {
namespace {

bool has_head_moments(std::string_view part) {
    return part == "k_attention" || part == "v" || part == "k_latent" || part == "v_latent";
}

/// Values of one moment of a side.
std::uint64_t count_values(const restore::FitGroup& group) {
    const restore::HeadRows& first = group.rows.front().weight;
    if (group.part == "embedding") {
        return first.post->rows();
    }
    const std::uint64_t inputs = first.matrix_columns() + (group.has_bias ? 1 : 0);
    std::uint64_t heads = 1;
    std::uint64_t rows = 0;
    for (const restore::HeadBlock& block : group.rows) {
        heads = std::max<std::uint64_t>(heads, block.head + 1);
        rows += block.weight.matrix_rows();
    }
    const bool is_divided =
        has_head_moments(group.part) && heads * inputs * inputs <= most_head_values;
    const std::uint64_t target = restore::has_target(group.part) ? rows * inputs : 0;
    return (restore::is_of_experts(group.part) || is_divided ? heads : 1) * inputs * inputs +
           target;
}

}  // namespace

MomentMemory estimate_moments(const restore::Plan& plan) {
    // Recall and chains, and of each what is held back.
    constexpr std::uint64_t copies = 4;
    std::map<std::optional<LayerIndex>, std::uint64_t> layers;
    MomentMemory memory;
    for (const restore::FitGroup& group : plan.fits) {
        std::uint64_t& layer = layers[group.layer];
        layer += copies * sizeof(double) * count_values(group);
        memory.largest_layer = std::max(memory.largest_layer, layer);
    }
    for (const auto& [_, bytes] : layers) {
        memory.all += bytes;
    }
    return memory;
}

}  // namespace anamnesis::calibration
