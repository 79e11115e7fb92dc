// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "anamnesis/base/random.hpp"

namespace anamnesis::train {

/// Random numbers of a tensor: a stream of its own, whatever is drawn before it.
inline Random make_name_stream(std::uint64_t seed, std::string_view name) {
    // FNV-1a.
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char c : name) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    }
    return Random(Random(seed).next() ^ hash);
}

}  // namespace anamnesis::train
