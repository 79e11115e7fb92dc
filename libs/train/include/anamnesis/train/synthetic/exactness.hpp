// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"

namespace anamnesis::train::synthetic {

/// Of which samples every answer token was right.
struct Exactness {
    std::vector<bool> outcomes{};  ///< in the order of the samples, which follows from the seed

    std::uint64_t right() const;
    double percent() const;  ///< 0 for no samples
};

/// One question each; S3 with three distractors. Answers count if greedy decoding gives all of
/// their tokens: that is so exactly if each is the likeliest after the true ones before it.
/// Errors: `cancelled` after a stop, which is seen between batches.
Exactness recall(const runtime::Network& network,
                 Needle needle,
                 std::size_t length,
                 std::size_t samples,
                 std::uint64_t seed,
                 const Watch& watch = {});

/// Whole chains of thought. Errors: `cancelled`.
Exactness reasoning(const runtime::Network& network,
                    std::size_t samples,
                    std::uint64_t seed,
                    const Watch& watch = {});

}  // namespace anamnesis::train::synthetic
