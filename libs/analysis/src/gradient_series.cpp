// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/gradient_series.hpp"

#include <string>

#include "anamnesis/analysis/locality.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::analysis {

report::Curves::Series make_gradient_series(const std::string& name, const Curve& curve) {
    report::Curves::Series series{.name = name, .points = {}};
    for (const CurvePoint& point : curve.points) {
        if (point.bin.first == 0 || !(point.value > 0.0)) {
            continue;
        }
        const double low = point.interval ? point.interval->low : point.value;
        series.points.push_back({.x = point.bin.middle(),
                                 .y = point.value,
                                 .low = low > 0.0 ? low : point.value,
                                 .high = point.interval ? point.interval->high : point.value});
    }
    return series;
}

}  // namespace anamnesis::analysis
