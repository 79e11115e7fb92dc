// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

/// Slopes of heads, for decays and for what logits lose with distance.
namespace anamnesis::runtime {

/// 2^(-8 h / heads) for h from 1.
std::vector<double> make_plain_slopes(std::uint32_t heads);

/// Those of ALiBi: plain for a power of two; else those of the next lower power, then every second
/// of the next higher.
/// Source: Press et al. 2022, "ALiBi"; docs/runtime.md.
std::vector<double> make_alibi_slopes(std::uint32_t heads);

}  // namespace anamnesis::runtime
