// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/procrustes.hpp"

/// The numerical core of the methods (docs/method.md). Rows of a head are [head_dim, hidden], as a
/// checkpoint stores them; a bias is one more column. Everything is float64 and pure: qk_pro.hpp
/// has `pro`, alignment.hpp has `align`, drift_measures.hpp the distances.
namespace anamnesis::restore {

/// The pairs of rows that position encoding rotates into each other.
/// Errors: `unsupported` for an odd number of rotated rows, or more than the head has.
std::vector<linalg::Plane> rotary_planes(const checkpoint::RotaryLayout& rotary,
                                         std::size_t head_dim);

}  // namespace anamnesis::restore
