// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "anamnesis/checkpoint/mixers/attention.hpp"
#include "anamnesis/checkpoint/mixers/mamba2.hpp"

namespace anamnesis::checkpoint {

class LayerTensors;

namespace role {

/// What the roles of the state space begin with, where a layer has softmax attention too.
inline constexpr std::string_view mamba_prefix = "mamba.";

}  // namespace role

/// A state space and softmax attention side by side on one input, whose outputs are added, each
/// with a factor before and a factor after.
/// Source: transformers 5.23, modeling_falcon_h1.py.
struct ParallelSpec {
    Mamba2Spec mamba{};
    AttentionSpec attention{};
    double mamba_input_scale = 1.0;
    double mamba_output_scale = 1.0;
    double attention_input_scale = 1.0;
    double attention_output_scale = 1.0;
};

/// The attention's tensors in the module of the mixer, the state space's in "mamba".
void list_tensors(const ParallelSpec& spec, LayerTensors& tensors);

}  // namespace anamnesis::checkpoint
