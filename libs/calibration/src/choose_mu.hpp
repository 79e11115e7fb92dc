// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "anamnesis/base/json.hpp"
#include "anamnesis/language/supervised_text.hpp"

#include "calibrator.hpp"
#include "moment_sums.hpp"

namespace anamnesis::calibration {

/// A mu, and how it was found: what post and each repair predict of the chains held back.
struct MuChoice {
    double mu = 0.0;
    Json curve{};
};

/// Tries mus from the smallest on `held_back` with the moments that do not know these chains, and
/// takes the first whose chains stay; the largest where none does.
MuChoice choose_mu(const Calibrator& calibrator,
                   const MomentSums& moments,
                   std::span<const language::SupervisedText> seen,
                   std::span<const language::SupervisedText> held_back,
                   std::uint32_t rounds);

}  // namespace anamnesis::calibration
