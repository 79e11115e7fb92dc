// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"

namespace anamnesis::train::synthetic {

/// Of how many samples every answer token was right.
struct Exactness {
    std::uint64_t right = 0;
    std::uint64_t samples = 0;
    double percent() const {
        return samples == 0 ? 0.0
                            : 100.0 * static_cast<double>(right) / static_cast<double>(samples);
    }
};

/// One question each; S3 with three distractors. Answers count if greedy decoding gives all of
/// their tokens: that is so exactly if each is the likeliest behind the true ones before it.
Exactness recall(const runtime::Network& network,
                 Needle needle,
                 std::size_t length,
                 std::size_t samples,
                 std::uint64_t seed);

/// Whole chains of thought.
Exactness reasoning(const runtime::Network& network, std::size_t samples, std::uint64_t seed);

}  // namespace anamnesis::train::synthetic
