// SPDX-License-Identifier: Apache-2.0
#include "shared_prefixes.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace anamnesis::eval {

std::size_t common_prefix(std::span<const language::TokenId> a,
                          std::span<const language::TokenId> b) {
    return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

std::vector<std::size_t> branch_places(std::span<const std::size_t> common,
                                       std::size_t known,
                                       std::size_t grain,
                                       std::size_t most) {
    std::vector<std::size_t> places;  // descending: what is shared shrinks along the order
    std::size_t shared = common.empty() ? 0 : common.front();
    for (const std::size_t next : common) {
        shared = std::min(shared, next);
        const std::size_t place = shared / grain * grain;
        if (place <= known) {
            break;
        }
        if (places.empty() || place < places.back()) {
            places.push_back(place);
        }
    }
    std::ranges::reverse(places);
    while (places.size() > most) {
        std::size_t least = 0;
        std::size_t least_gain = places[0] - known;
        for (std::size_t i = 1; i < places.size(); ++i) {
            if (places[i] - places[i - 1] < least_gain) {
                least_gain = places[i] - places[i - 1];
                least = i;
            }
        }
        places.erase(places.begin() + static_cast<std::ptrdiff_t>(least));
    }
    return places;
}

}  // namespace anamnesis::eval
