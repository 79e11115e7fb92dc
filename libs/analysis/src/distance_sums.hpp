// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace anamnesis::analysis {

/// A block of rows of a matrix over pairs of positions: row r belongs to the query at
/// first_query + r, column c to the key at first_key + c.
struct PairBlock {
    at::Tensor values;  ///< [rows, columns] float32 or float64, contiguous
    std::int64_t first_query = 0;
    std::int64_t first_key = 0;
    std::int64_t window = 0;  ///< keys a query sees, itself included
};

enum class Term : std::uint8_t { value, magnitude };

/// Adds the values of the pairs with 0 <= t - u < window to sums[t - u].
/// Errors: `internal` where `sums` is shorter than the largest distance.
void add_by_distance(const PairBlock& block, Term term, std::vector<double>& sums);

/// The same of the queries t with chosen[t] alone.
void add_by_distance(const PairBlock& block,
                     Term term,
                     const std::vector<bool>& chosen,
                     std::vector<double>& sums);

}  // namespace anamnesis::analysis
