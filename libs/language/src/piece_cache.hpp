// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// Pieces of one encoding, and where their tokens are in its result.
class PieceCache {
public:
    static constexpr std::size_t longest = 64;

    /// The most bytes that will be encoded, roughly.
    explicit PieceCache(std::size_t text_bytes)
        : places_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 8, 16, 1U << 15U))) {}

    struct Place {
        std::uint64_t hash = 0;
        std::size_t text = 0;   // where the piece is among the texts
        std::size_t begin = 0;  // of its tokens in the result
        std::uint32_t length = 0;
        std::uint32_t count = 0;
    };

    /// The place of a piece of 1 to `longest` bytes, or null.
    const Place* find(std::string_view piece, std::uint64_t hash) const {
        const Place& place = places_[hash & (places_.size() - 1)];
        const bool is_same = place.hash == hash && place.length == piece.size() &&
                             std::string_view(texts_).substr(place.text, place.length) == piece;
        return is_same ? &place : nullptr;
    }

    void keep(std::string_view piece, std::uint64_t hash, std::size_t begin, std::size_t count) {
        places_[hash & (places_.size() - 1)] = {.hash = hash,
                                                .text = texts_.size(),
                                                .begin = begin,
                                                .length = static_cast<std::uint32_t>(piece.size()),
                                                .count = static_cast<std::uint32_t>(count)};
        texts_ += piece;
    }

private:
    std::vector<Place> places_;
    std::string texts_{};
};

}  // namespace anamnesis::language
