// SPDX-License-Identifier: Apache-2.0
#include "piece_merges.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "anamnesis/language/utf8.hpp"

namespace anamnesis::language {

std::vector<RankedPiece> rank_by_score(std::span<const TokenId> pieces,
                                       std::span<const double> scores) {
    std::vector<std::size_t> order(pieces.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order,
                             [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    std::vector<RankedPiece> ranked;
    ranked.reserve(pieces.size());
    std::uint32_t rank = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        rank += i > 0 && scores[order[i]] != scores[order[i - 1]] ? 1 : 0;
        ranked.push_back({.token = pieces[order[i]], .rank = rank});
    }
    return ranked;
}

BytePairMerges make_piece_merges(const Vocabulary& vocabulary,
                                 std::span<const RankedPiece> pieces,
                                 const std::vector<bool>& halves) {
    BytePairMerges merges;
    merges.reserve(2 * pieces.size());
    const auto find_half = [&](std::string_view text) {
        const TokenId id = vocabulary.find(text).value_or(-1);
        return id >= 0 && halves[static_cast<std::size_t>(id)] ? id : TokenId{-1};
    };
    for (const RankedPiece& piece : pieces) {
        const std::string_view text = *vocabulary.find_text(piece.token);
        for (std::size_t cut = 0; cut < text.size();) {
            if (cut > 0) {
                const TokenId left = find_half(text.substr(0, cut));
                const TokenId right = left < 0 ? TokenId{-1} : find_half(text.substr(cut));
                if (right >= 0) {
                    merges.set(left, right, piece.rank, piece.token);
                }
            }
            static_cast<void>(next_character(text, cut));
        }
    }
    return merges;
}

}  // namespace anamnesis::language
