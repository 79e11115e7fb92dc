// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::restore {

/// Codes of the two findings that a repair refuses unless they are allowed.
inline constexpr std::string_view unrelated_code = "unrelated_pre";
inline constexpr std::string_view rotary_order_code = "rotary_order";

/// What is odd about a pair: tensors that only one side has, other shapes and types, a scale on one
/// side alone, names under another prefix, rows of W_Q and W_K that are unrelated or in another
/// rotary order.
/// Cost: the names of both; eight rows of W_Q and W_K of every softmax layer, more only where these
/// are far apart.
std::vector<checkpoint::Finding> find_pair_findings(const checkpoint::RecognisedCheckpoint& pre,
                                                    const checkpoint::RecognisedCheckpoint& post);

/// Those of pre, of post and of the pair, with where each belongs.
std::vector<checkpoint::Finding> collect_findings(const checkpoint::RecognisedCheckpoint& pre,
                                                  const checkpoint::RecognisedCheckpoint& post);

}  // namespace anamnesis::restore
