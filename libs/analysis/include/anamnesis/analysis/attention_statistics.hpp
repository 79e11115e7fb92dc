// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/runtime/network.hpp"

namespace anamnesis::analysis {

/// Tokens first <= t < end.
struct TokenSpan {
    std::size_t first = 0;
    std::size_t end = 0;

    std::size_t size() const { return end - first; }
    bool holds(std::size_t token) const { return first <= token && token < end; }
};

/// What is asked of the attention over one text.
struct AttentionQuestion {
    std::vector<bool> queries{};        ///< the means are over these; empty: all
    std::vector<std::size_t> beyond{};  ///< distances whose share is told
    /// Where the needle lies, and which queries look for it: those that produce the answer's
    /// tokens, query t the token t + 1.
    std::optional<TokenSpan> needle{};
    TokenSpan answer_queries{};
};

/// One query head over one text; weights w[t, u], means over queries t.
struct HeadAttention {
    double mean_distance = 0.0;  ///< sum_u w (t - u)
    double entropy = 0.0;        ///< -sum_u w ln w
    /// Share of the weight at distances above each of `beyond`; of all queries, and of those alone
    /// that have keys so far back (NaN where none has).
    std::vector<double> share_beyond{};
    std::vector<double> share_beyond_of_able{};
    double needle_mass = 0.0;  ///< of the answer queries on the needle; 0 without one
    /// The share of the needle's tokens that an answer query attends to most while it produces the
    /// same token. Source: Wu et al. 2024, arXiv 2404.15574, section 2.
    double retrieval = 0.0;
};

struct LayerAttention {
    std::size_t layer = 0;
    std::vector<HeadAttention> heads{};
};

/// Every softmax layer of a network over one text.
/// Errors: `mismatch` for ids outside the vocabulary, or positions outside the text; `unsupported`
///         for a model without softmax layers.
/// Cost:   one forward pass, and one product [T, T] x D a head; no matrix [T, T] is kept.
std::vector<LayerAttention> attention_statistics(const runtime::Network& network,
                                                 std::span<const std::int64_t> ids,
                                                 const AttentionQuestion& question);

/// Greedy continuation: at most `most` tokens, ended by one of `ends` (which is left out).
std::vector<std::int64_t> continuation(const runtime::Network& network,
                                       std::span<const std::int64_t> ids,
                                       std::size_t most,
                                       std::span<const std::int64_t> ends);

}  // namespace anamnesis::analysis
