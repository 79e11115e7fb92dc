// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/report/document.hpp"
#include "anamnesis/reproduction/measurement.hpp"

namespace anamnesis::reproduction {

struct NamedMeasurement {
    std::string name{};
    Measurement measurement{};
};

/// Checkpoints that answered the same questions; the figures of each as "right / samples".
Json to_json(const std::vector<NamedMeasurement>& checkpoints);

/// Percent by needle and length, and reasoning, for a terminal.
std::string to_text(const std::vector<NamedMeasurement>& checkpoints);

/// The page of a repair: recall by length before, after and repaired, reasoning, and what the
/// repair changed, sample by sample. The checkpoints are pre, post and repaired ones, in order.
report::Document to_document(const std::vector<NamedMeasurement>& checkpoints);

}  // namespace anamnesis::reproduction
