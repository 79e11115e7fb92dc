// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <vector>

#include "anamnesis/checkpoint/feed_forwards/mixture.hpp"

#include "feed_forwards/dense.hpp"
#include "layer_weights.hpp"

namespace anamnesis::runtime {

/// The experts of stacks [experts, outputs, inputs]: gate rows, then up rows.
std::vector<DenseFeedForward> load_stacked_experts(const checkpoint::MixtureSpec& spec,
                                                   const LayerWeights& weights);

/// The experts of stacks [experts, inputs, outputs] with biases, whose columns are a gate and an up
/// in turn; or of the same in blocks of FP4, which become bfloat16.
/// Errors: `unsupported` for blocks of FP4 that are to be trained.
/// Source: OCP Microscaling Formats 1.0, section 5.3.3 (MXFP4); transformers 5.23,
/// modeling_gpt_oss.py.
std::vector<DenseFeedForward> load_transposed_experts(const checkpoint::MixtureSpec& spec,
                                                      const LayerWeights& weights);

}  // namespace anamnesis::runtime
