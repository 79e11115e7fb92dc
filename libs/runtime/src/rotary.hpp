// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <span>

#include "rotary_spec.hpp"

namespace anamnesis::runtime {

/// Cosines and sines of the positions of one call.
struct RotaryTables {
    at::Tensor cosine{};  ///< [B or 1, T, pairs]
    at::Tensor sine{};

    bool is_defined() const { return cosine.defined(); }
};

/// Tables for T positions from `starts[b]` on, in the type and on the device of `like`. The angle
/// is a product in that type, as in the reference implementations.
RotaryTables make_tables(const RotarySpec& rotary,
                         std::span<const std::int64_t> starts,
                         std::int64_t length,
                         const at::Tensor& like);

/// Turns the first rows of every head.
/// Shapes: x [B, T, heads, head_dim] -> the same. May write in place where no gradient is recorded.
at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables);

}  // namespace anamnesis::runtime
