// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "anamnesis/checkpoint/mixers/attention.hpp"
#include "anamnesis/checkpoint/mixers/gated_delta.hpp"
#include "anamnesis/checkpoint/mixers/jet.hpp"
#include "anamnesis/checkpoint/mixers/lightning.hpp"

namespace anamnesis::checkpoint {

/// A mixer of a family whose layers are known by their rows alone: it cannot run.
struct UnknownMixer {};

/// What mixes the tokens of a layer, with its sizes. A new mixer is one file in mixers/, its list
/// of tensors in src/mixers/, and its name here.
using MixerSpec = std::variant<UnknownMixer, AttentionSpec, LightningSpec, GatedDeltaSpec, JetSpec>;

}  // namespace anamnesis::checkpoint
