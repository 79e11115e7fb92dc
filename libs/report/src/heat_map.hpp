// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/report/document.hpp"

namespace anamnesis::report {

/// A figure with the grid as inline SVG and its colour scale below.
std::string heat_map_html(const HeatMap& map);

std::string bars_html(const Bars& bars);

/// "#rrggbb" for a share of the scale in [0, 1].
/// Source: the viridis-like ramp "cividis", Nuñez, Anderton & Renslow 2018, ordered in lightness,
/// so that it reads in grey and with any colour vision.
std::string scale_colour(double share);

}  // namespace anamnesis::report
