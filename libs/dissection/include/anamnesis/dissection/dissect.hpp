// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/base/words.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/dissection/findings.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::dissection {

/// How finely weights are told apart.
enum class Depth : std::uint8_t { group, layer, head };
inline constexpr std::array<Word<Depth>, 3> depth_words{{
    {Depth::group, "group"},
    {Depth::layer, "layer"},
    {Depth::head, "head"},
}};

/// Which weights of post carry the damage: each group (and layer, and head) of pre is put into post
/// by itself, in memory, and asked on the same texts.
struct DissectionJob {
    const checkpoint::RecognisedCheckpoint* pre = nullptr;
    const checkpoint::RecognisedCheckpoint* post = nullptr;
    calibration::CalibrationTexts recall{};
    calibration::CalibrationTexts reasoning{};
    Depth depth = Depth::group;
    runtime::LoadOptions running{};
    std::optional<std::uint64_t> budget_seconds{};  ///< for the search; absent: all of it
    std::filesystem::path out{};
};

/// Half of the texts, every second one, chooses; all figures that are told are of the other half.
/// Where there are many candidates, a few texts rank them and the better half goes on (successive
/// halving). Answers are kept in OUT/results.jsonl: a run that was stopped goes on.
/// Errors: `mismatch` for a pair of the same weights, for the folder of another run and for texts
///         that predict nothing;
///         `cancelled` after a stop.
/// Cost:   a forward pass over the texts for each candidate; a copy of the rows it changes.
Findings dissect(const DissectionJob& job, const Watch& watch);

}  // namespace anamnesis::dissection
