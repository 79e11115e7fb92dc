// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <variant>

#include "mixers/attention.hpp"
#include "mixers/gated_delta.hpp"
#include "mixers/jet.hpp"
#include "mixers/kimi_delta.hpp"
#include "mixers/latent_attention.hpp"
#include "mixers/lightning.hpp"
#include "mixers/mamba1.hpp"
#include "mixers/mamba2.hpp"
#include "mixers/none.hpp"
#include "mixers/parallel.hpp"
#include "mixers/rg_lru.hpp"
#include "mixers/shared_block.hpp"
#include "mixers/short_convolution.hpp"

namespace anamnesis::runtime {

/// Every mixer that runs. A new one is a pair of files here and its name in this list.
using Mixer = std::variant<NoMixerLayer,
                           AttentionLayer,
                           LatentAttentionLayer,
                           LightningLayer,
                           GatedDeltaLayer,
                           JetLayer,
                           KimiDeltaLayer,
                           ShortConvolutionLayer,
                           Mamba1Layer,
                           Mamba2Layer,
                           RgLruLayer,
                           ParallelLayer,
                           SharedBlockLayer>;

}  // namespace anamnesis::runtime
