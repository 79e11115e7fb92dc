// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"

/// Specs of mixers and feed-forwards from the config keys that several families share.
namespace anamnesis::checkpoint {

/// Errors: `malformed` for 0, naming the key.
std::uint32_t check_size(std::uint32_t value, std::string_view key);
std::uint32_t read_size(const ConfigReader& config, std::string_view key, std::uint32_t fallback);

/// `sliding_window` or `window_size`.
std::optional<std::uint32_t> read_window(const ConfigReader& config);

/// Softmax attention with the blueprint's heads, rotary encoding and QK-norm.
AttentionSpec make_attention(const Blueprint& blueprint);

DenseSpec read_dense(const ConfigReader& config, std::uint32_t default_width);
MixtureSpec read_mixture(const ConfigReader& config, const MixtureSpec& defaults);
GatedDeltaSpec read_gated_delta(const ConfigReader& config, DeltaProjections projections);

}  // namespace anamnesis::checkpoint
