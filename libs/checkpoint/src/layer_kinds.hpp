// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {

using Kinds = std::vector<LayerKind>;

/// num_hidden_layers under its names, else `fallback`.
/// Errors: `malformed` where there is neither, or more than any model has.
std::uint32_t read_layer_count(const ConfigReader& config, std::uint32_t fallback = 0);

std::vector<Layer> make_layers(std::uint32_t count,
                               const std::function<Kinds(std::uint32_t)>& make_kinds);

/// Every layer of one kind.
std::vector<Layer> make_uniform_layers(std::uint32_t count, LayerKind kind);

/// The layers that the first present of `keys` lists, one word each, in the spellings of
/// transformers 4, 5 and of the families; nothing where no key is there.
/// Errors: `malformed` for an unknown word or a list of another length than num_hidden_layers.
std::optional<std::vector<Layer>> find_listed_layers(const ConfigReader& config,
                                                     std::initializer_list<std::string_view> keys);

/// Turns full softmax layers into `kind` (families whose softmax layers are all latent or all
/// sliding).
std::vector<Layer> with_full_as(std::vector<Layer> layers, LayerKind kind);

}  // namespace anamnesis::checkpoint
