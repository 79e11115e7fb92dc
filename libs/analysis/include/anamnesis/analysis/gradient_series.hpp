// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::analysis {

/// A curve of gradients over distance for a page with logarithmic axes: distances from 1 on, values
/// above 0, with their intervals.
report::Curves::Series make_gradient_series(const std::string& name, const Curve& curve);

}  // namespace anamnesis::analysis
