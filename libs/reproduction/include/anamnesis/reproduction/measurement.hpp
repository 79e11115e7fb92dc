// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"

namespace anamnesis::reproduction {

/// The needles, as they are named in the paper.
struct NamedNeedle {
    train::synthetic::Needle needle;
    std::string_view name;
};
inline constexpr std::array needles{NamedNeedle{train::synthetic::Needle::s1, "S1"},
                                    NamedNeedle{train::synthetic::Needle::s2, "S2"},
                                    NamedNeedle{train::synthetic::Needle::s3, "S3"}};

/// What is asked of a checkpoint. Equal questions give equal samples in equal order.
struct Questions {
    std::vector<std::size_t> lengths{};
    std::size_t recall_samples = 0;  ///< of each needle and length
    std::size_t reasoning_samples = 0;
    std::uint64_t seed = 0;
};

/// What a checkpoint answered.
struct Measurement {
    std::vector<std::size_t> lengths{};
    /// [needles][lengths]
    std::array<std::vector<train::synthetic::Exactness>, needles.size()> recall{};
    train::synthetic::Exactness reasoning{};  ///< whole chains of thought

    /// Errors: `internal` for a length that was not measured.
    const train::synthetic::Exactness& recall_answers(std::size_t needle, std::size_t length) const;
    /// Percent. Errors: `internal` for a length that was not measured.
    double recall_percent(std::size_t needle, std::size_t length) const;
    /// The mean over needles.
    double recall_percent(std::size_t length) const;
};

/// Advances the watch's progress by one after each needle and length, and after the chains of
/// thought. Errors: `cancelled` after a stop.
Measurement measure(const runtime::Network& network,
                    const Questions& questions,
                    const Watch& watch = {});

/// By how much `measure` advances.
std::size_t count_parts(const Questions& questions);

Json to_json(const Measurement& measurement);
/// Errors: `malformed`.
Measurement read_measurement(const Json& json);

}  // namespace anamnesis::reproduction
