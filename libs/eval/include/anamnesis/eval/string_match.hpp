// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace anamnesis::eval {

/// RULER's way with an answer: stripped, every control character a newline, stripped again.
/// Source: NVIDIA/RULER c3f5e3b, scripts/eval/evaluate.py and synthetic/constants.py.
std::string ruler_postprocess(std::string_view prediction);

/// The share of references that a processed prediction contains, letter case ignored. An empty
/// reference is contained in everything.
double string_match_all(std::string_view prediction, std::span<const std::string> references);

/// 1 where it contains any reference, else 0.
double string_match_part(std::string_view prediction, std::span<const std::string> references);

/// Percent as RULER prints it: Python's round(mean * 100, 2).
double ruler_percent(double mean);

}  // namespace anamnesis::eval
