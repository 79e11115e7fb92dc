// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "anamnesis/calibration/calibrate.hpp"

namespace anamnesis::reproduction {

/// What `fit` is calibrated with here: 32 texts of 256 tokens with needles of all three kinds and a
/// question, and 64 problems with their chains of thought. Of a text the answers alone are
/// predicted. No seed of a training or an evaluation gives the same samples.
calibration::CalibrationJob make_calibration_job(std::uint64_t seed);

}  // namespace anamnesis::reproduction
