// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "anamnesis/base/json.hpp"

namespace anamnesis::checkpoint {

/// What rotary settings mean, so that spellings of one setting are equal: the base, and the keys
/// that the type of scaling reads, with the defaults of transformers filled in and every number as
/// one. Keys that the type does not read do not count.
/// `context_length` is max_position_embeddings; 0 where it is not stated.
/// Source: transformers 5.23, modeling_rope_utils.py.
Json find_rope_meaning(const Json& scaling,
                       std::optional<double> theta,
                       std::uint32_t context_length);

}  // namespace anamnesis::checkpoint
