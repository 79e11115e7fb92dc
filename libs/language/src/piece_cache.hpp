// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace anamnesis::language {

/// Where in the text and in the result a piece was met before: a cache that owns nothing.
class PieceCache {
public:
    explicit PieceCache(std::size_t text_bytes)
        : places_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 8, 16, 1U << 14U))) {}

    struct Place {
        std::uint64_t hash = 0;
        std::string_view piece;  // of the text at hand
        std::size_t begin = 0;   // in the result
        std::size_t count = 0;
    };
    Place& at(std::uint64_t hash) { return places_[hash & (places_.size() - 1)]; }
    /// The text at hand goes away.
    void forget() { std::ranges::fill(places_, Place{}); }

private:
    std::vector<Place> places_;
};

}  // namespace anamnesis::language
