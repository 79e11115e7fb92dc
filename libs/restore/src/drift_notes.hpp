// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::restore {

/// Why a tensor was not measured: one kind of reason, and what it says of this tensor.
struct NotMeasured {
    enum class Reason : std::uint8_t { none, no_counterpart, no_values, other_shape, twin };
    Reason reason = Reason::none;
    std::string text{};
};

/// One note for all tensors that were not measured for one reason; those without counterpart are
/// told together where their names differ by numbers alone. `notes` has one for each tensor.
std::vector<std::string> join_notes(const std::vector<checkpoint::TensorEntry>& tensors,
                                    const std::vector<NotMeasured>& notes);

}  // namespace anamnesis::restore
