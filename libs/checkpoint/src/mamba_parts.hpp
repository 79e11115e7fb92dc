// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

/// Specs of state spaces from the config keys that several families share.
namespace anamnesis::checkpoint {

/// A size that a config may leave to the library: absent, null or "auto" is `automatic`.
/// Errors: `malformed` for 0.
std::uint32_t read_size_or_auto(const ConfigReader& config,
                                std::string_view key,
                                std::uint32_t automatic);

/// Mamba-2 under the names of Granite, Bamba and Falcon-H1, gate before norm. `inner` is the width
/// of all heads together, 0: `mamba_expand` times the stream's.
/// Errors: `malformed` for heads that do not make the inner width, or that groups do not divide.
Mamba2Spec read_mamba2(const ConfigReader& config,
                       const Blueprint& blueprint,
                       std::uint32_t inner = 0);

/// Errors: as above.
void check_mamba2(const Mamba2Spec& spec, std::uint32_t inner);

/// `time_step_limit`: the least and the greatest step. What is absent, null or infinite is none.
void read_step_limits(const ConfigReader& config, Mamba2Spec& spec);

/// Nemotron-H and Zamba2, whose library ignores `time_step_limit`: the least step is
/// `time_step_min`.
void read_step_floor(const ConfigReader& config, Mamba2Spec& spec);

}  // namespace anamnesis::checkpoint
