// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/words.hpp"

namespace anamnesis::train {

enum class Initialiser : std::uint8_t {
    /// Normal with the config's `initializer_range`, as the family's own code.
    range,
    /// Normal with 1 / sqrt(inputs), what adds to the residual stream divided by sqrt(2 layers),
    /// the embedding 0.05: small models learn faster from it.
    fan_in,
};
inline constexpr std::array<Word<Initialiser>, 2> initialiser_words{{
    {Initialiser::range, "range"},
    {Initialiser::fan_in, "fan_in"},
}};

/// Writes a checkpoint of random weights that config.json describes, in its `dtype` (float32 where
/// it has none): every tensor that its blueprint requires. Norm gains are 1, or 0 where a family
/// stores them less 1; biases are 0; rates and steps of decays are drawn as Mamba-2 has them. A
/// weight depends on seed and name alone.
/// Errors: `unsupported` for a family that does not run, for a feature that does not, and for other
/// types; `malformed` for sizes that are missing.
void write_initial_checkpoint(const Json& config,
                              Initialiser initialiser,
                              std::uint64_t seed,
                              const std::filesystem::path& folder);

}  // namespace anamnesis::train
