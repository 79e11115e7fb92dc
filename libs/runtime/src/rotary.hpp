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
    /// On a device, for both halves of a head: cosines twice; sines, negative for the first half.
    /// [B or 1, T, 1, 2 pairs]
    at::Tensor both_cosines{};
    at::Tensor both_sines{};

    bool is_defined() const { return cosine.defined(); }
};

/// Positions of `length` tokens from `starts[b]` on: [B, T], or [1, T] where all starts agree.
at::Tensor positions_from(std::span<const std::int64_t> starts,
                          std::int64_t length,
                          at::Device device);

/// `rotary.frequencies` as `make_tables` takes them: in the type and on the device of the tables.
at::Tensor make_frequencies(const RotarySpec& rotary, const at::TensorOptions& options);

/// Tables of positions from `positions_from`. The angle is a product in the frequencies' type, as
/// in the reference implementations.
RotaryTables make_tables(const at::Tensor& positions,
                         const at::Tensor& frequencies,
                         double magnitude);

/// Turns the first rows of every head.
/// Shapes: x [B, T, heads, head_dim] -> the same. May write in place where no gradient is recorded.
at::Tensor rotate(const at::Tensor& x, const RotaryTables& tables);

/// The same where neighbours are paired: row 2j of a head turns with row 2j + 1.
/// Shapes: x [B, T, heads, 2 pairs] -> the same, a tensor of its own.
at::Tensor rotate_neighbours(const at::Tensor& x, const RotaryTables& tables);

}  // namespace anamnesis::runtime
