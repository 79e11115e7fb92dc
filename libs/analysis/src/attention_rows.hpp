// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include "distance_sums.hpp"

namespace anamnesis::analysis {

/// Queries and keys of one head over a whole text. Shapes: [T, D], without gradients.
struct HeadPair {
    at::Tensor q;
    at::Tensor k;
    std::int64_t window = 0;  ///< keys a query sees, itself included; at least 1
};

/// Query rows of a block: some hundred thousand pairs, which is a few MB.
std::int64_t block_rows(std::int64_t length);

struct LogitRows {
    PairBlock shifted;   ///< scaled logits less each row's largest; -inf where the key is not seen
    at::Tensor largest;  ///< [rows, 1]
};

/// Of the queries [first, first + rows) on every key that one of them sees.
LogitRows logit_rows(const HeadPair& head, std::int64_t first, std::int64_t rows);

}  // namespace anamnesis::analysis
