// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/language/language_model.hpp"

#include "byte_pair_merge.hpp"
#include "vocabulary.hpp"

namespace anamnesis::language {

/// A piece that two others may become, and how early: by its score, by its rank.
struct RankedPiece {
    TokenId token = 0;
    std::uint32_t rank = 0;
};

/// Ranks by score, the highest first; equal scores have equal ranks. Scores are finite.
std::vector<RankedPiece> rank_by_score(std::span<const TokenId> pieces,
                                       std::span<const double> scores);

/// Merges by which any two pieces whose texts together are a piece become it, as SentencePiece and
/// tiktoken have it. Texts are cut between characters; both halves must be in `halves`, by id.
BytePairMerges make_piece_merges(const Vocabulary& vocabulary,
                                 std::span<const RankedPiece> pieces,
                                 const std::vector<bool>& halves);

}  // namespace anamnesis::language
