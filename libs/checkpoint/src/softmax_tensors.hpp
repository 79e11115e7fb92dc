// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "anamnesis/base/index.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"

namespace anamnesis::checkpoint {

inline constexpr std::string_view layer_slot = "{layer}";
inline constexpr std::string_view block_slot = "{block}";

/// `name` with `number` in the place of `slot`, where it has one.
std::string fill_slot(std::string name, std::string_view slot, std::uint32_t number);

/// What `rule` says of a softmax layer outside the model's own, under the rule's name.
PlannedTensor plan_anywhere(const TensorRule& rule);

/// What `rule` says of one softmax layer. `user` counts the softmax layers before it.
PlannedTensor plan_softmax_tensor(const Blueprint& blueprint,
                                  const TensorRule& rule,
                                  std::size_t layer,
                                  std::uint32_t user);

/// Lists what the rules say of every softmax layer.
void plan_softmax_tensors(Blueprint& blueprint);

}  // namespace anamnesis::checkpoint
