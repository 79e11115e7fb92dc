// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/calibration/calibration_texts.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"

namespace anamnesis::calibration {

struct CalibrationJob {
    CalibrationTexts recall{};  ///< facts and questions on them
    CalibrationTexts chains{};  ///< problems with worked answers of the fine-tune's kind
    runtime::LoadOptions running{};
    /// Takes the smallest mu of `tried_mus` whose chains stay, in place of the plan's.
    bool chooses_mu = false;
    /// Moments above this go to temporary files (TMPDIR) where nothing needs those of all layers at
    /// once.
    std::uint64_t most_moment_bytes = 1'000'000'000;
};

/// What `mu auto` tries, ascending.
inline constexpr double tried_mus[] = {0.03, 0.1, 0.3, 1.0, 3.0};

/// What a caller names: where the texts are that a plan is calibrated with.
struct CalibrationSources {
    std::string recall{};     ///< a file, or "niah": make_needle_texts
    std::string chains{};     ///< a file, or "own": write_own_chains
    std::string questions{};  ///< a file, for own chains
};

/// The job of running post over what is named. Without a type of weights small checkpoints run in
/// float32, larger ones as they are stored.
/// Errors: `mismatch` where the rows that the plan takes are the same in pre and post, before any
///         text is read; those of reading, making and writing the texts (calibration_texts.hpp).
CalibrationJob make_calibration_job(const restore::Plan& plan,
                                    const CalibrationSources& sources,
                                    runtime::LoadOptions running,
                                    const Watch& watch);

/// Runs post (where the plan has an adapter, with it) over the texts and gives a plan of `fit` what
/// it lacks: the moments of every output,
/// the mu that was chosen, and what the receipt says of the calibration.
///
/// Every second chain is held back where mu is chosen, and all are used once it is. A mu is good
/// where at least 99 % of the chains stay that post predicts without a fault (of the tokens, where
/// post predicts fewer than half of the chains so).
///
/// Errors: those of `runtime::load_network`; `unsupported` for a module of an adapter that does not
///         run; `mismatch` for a token outside the vocabulary;
///         `unsupported` for moments that are not finite; `cancelled` after a stop.
/// Cost:   a forward pass of post over all texts and, for a round, two over the chains; a float64
///         matrix for each moment (MomentKey) in memory.
/// Source: docs/method.md, "Fit".
void calibrate(restore::Plan& plan, const CalibrationJob& job, const Watch& watch);

}  // namespace anamnesis::calibration
