// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/runtime/network.hpp"

#include "hybrid_sequence.hpp"

namespace anamnesis::runtime {

/// What generation needs of a model.
struct Generator {
    const Network& network;
    const language::Tokenizer& tokenizer;
    std::span<const language::TokenId> end_of_text;
    std::size_t context_length = 0;
};

/// Continues sequences that have read something, all in step; one that ends leaves the batch.
std::vector<language::Generation> generate(const Generator& generator,
                                           std::span<HybridSequence* const> sequences,
                                           const language::DecodingOptions& options);

}  // namespace anamnesis::runtime
