// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/report/document.hpp"

namespace anamnesis::report {

/// Values mapped onto a stretch of a drawing.
class AxisScale {
public:
    /// Widens an empty range; a logarithmic axis needs positive values.
    AxisScale(double low, double high, Curves::Axis kind, double from, double to);

    double place(double value) const;

    struct Tick {
        double value = 0.0;
        std::string label;
    };
    /// Round numbers, about five of them; on a logarithmic axis powers of two or ten.
    std::vector<Tick> ticks() const;

private:
    double low_;
    double high_;
    Curves::Axis kind_;
    double from_;
    double to_;
};

}  // namespace anamnesis::report
