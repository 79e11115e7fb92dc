// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>
#include <optional>

#include "distance_sums.hpp"

namespace anamnesis::analysis {

/// Queries and keys of one head over a whole text. Shapes: [T, D], without gradients.
struct HeadPair {
    at::Tensor q;
    at::Tensor k;
    std::int64_t window = 0;  ///< keys a query sees, itself included; at least 1
    std::optional<double> softcap{};
    double alibi_slope = 0.0;  ///< what a logit loses a token
};

/// Query rows of a block: some hundred thousand pairs, which is a few MB.
std::int64_t block_rows(std::int64_t length);

/// Logits as the softmax takes them.
struct CappedLogits {
    at::Tensor values;  ///< c tanh(logits / c), or the logits themselves
    at::Tensor slope;   ///< of the former by the latter; undefined: 1
};
CappedLogits cap_logits(const at::Tensor& logits, const std::optional<double>& softcap);

struct LogitRows {
    PairBlock shifted;   ///< capped logits less each row's largest; -inf where the key is not seen
    at::Tensor largest;  ///< [rows, 1]
    at::Tensor slope;    ///< [rows, columns] of capped logits by scaled ones; undefined: 1
};

/// Of the queries [first, first + rows) on every key that one of them sees.
LogitRows logit_rows(const HeadPair& head, std::int64_t first, std::int64_t rows);

}  // namespace anamnesis::analysis
