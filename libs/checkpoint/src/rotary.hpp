// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

namespace anamnesis::checkpoint {

struct RotaryDefaults {
    double partial_factor = 1.0;
    std::optional<double> theta{};  ///< what the library fills in; absent where unknown
    std::optional<std::uint32_t> original_context{};  ///< the same of a scaling
    std::optional<std::string_view> scaling{};  ///< JSON; the same of a config without any scaling
};

/// Rotary encoding of the first rows of every head, halves paired: sets `rotary` and `position`.
/// Reads both spellings of transformers: top-level keys and `rope_parameters`.
void add_rotary(Blueprint& blueprint,
                const ConfigReader& config,
                const RotaryDefaults& defaults = {});

/// Errors: `unsupported` where `rope_parameters` and an added `rope_scaling` say different things,
/// or `rope_type` and an old `type`: what runs such a config reads one and not the other.
void expect_one_rotary(const ConfigReader& config);

/// The same for the last `dimensions` rows of every head of latent attention.
void add_latent_rotary(Blueprint& blueprint,
                       const ConfigReader& config,
                       std::uint32_t dimensions,
                       RotaryLayout::Pairs pairs);

/// No rotary encoding at all.
void add_no_rotary(Blueprint& blueprint);

}  // namespace anamnesis::checkpoint
