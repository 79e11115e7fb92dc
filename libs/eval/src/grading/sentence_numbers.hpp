// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace anamnesis::eval::grading {

/// The number that a sentence of prose states: the one after the last "is", "are" or "=" of its
/// last clause; else the last one before a preposition ("pays $64 for 16 glasses").
std::optional<std::string> stated_number(std::string_view sentence);

}  // namespace anamnesis::eval::grading
