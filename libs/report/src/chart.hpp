// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "anamnesis/report/document.hpp"

namespace anamnesis::report {

/// Figures as inline SVG. Series take the colours of Okabe & Ito's palette, which readers with any
/// colour vision tell apart, and differ in dash and marker as well.
std::string curves_html(const Curves& curves);
std::string scatter_html(const Scatter& scatter);

}  // namespace anamnesis::report
