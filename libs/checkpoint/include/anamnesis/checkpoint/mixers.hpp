// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "anamnesis/checkpoint/mixers/attention.hpp"
#include "anamnesis/checkpoint/mixers/gated_delta.hpp"
#include "anamnesis/checkpoint/mixers/jet.hpp"
#include "anamnesis/checkpoint/mixers/kimi_delta.hpp"
#include "anamnesis/checkpoint/mixers/latent_attention.hpp"
#include "anamnesis/checkpoint/mixers/lightning.hpp"
#include "anamnesis/checkpoint/mixers/mamba1.hpp"
#include "anamnesis/checkpoint/mixers/mamba2.hpp"
#include "anamnesis/checkpoint/mixers/parallel.hpp"
#include "anamnesis/checkpoint/mixers/rg_lru.hpp"
#include "anamnesis/checkpoint/mixers/shared_block.hpp"
#include "anamnesis/checkpoint/mixers/short_convolution.hpp"

namespace anamnesis::checkpoint {

/// A mixer of a family whose layers are known by their rows alone: it cannot run.
struct UnknownMixer {};

/// A layer that has a feed-forward alone (Nemotron-H).
struct NoMixer {};

/// What mixes the tokens of a layer, with its sizes. A new mixer is one file in mixers/, its list
/// of tensors in src/mixers/, and its name here.
using MixerSpec = std::variant<UnknownMixer,
                               NoMixer,
                               AttentionSpec,
                               LatentAttentionSpec,
                               LightningSpec,
                               GatedDeltaSpec,
                               JetSpec,
                               KimiDeltaSpec,
                               ShortConvolutionSpec,
                               Mamba1Spec,
                               Mamba2Spec,
                               RgLruSpec,
                               ParallelSpec,
                               SharedBlockSpec>;

/// The softmax attention with grouped queries of a mixer, or within it; null where it has none.
const AttentionSpec* find_attention(const MixerSpec& mixer);
AttentionSpec* find_attention(MixerSpec& mixer);

/// True for a mixer with softmax attention of any kind.
bool is_softmax(const MixerSpec& mixer);

}  // namespace anamnesis::checkpoint
