// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace anamnesis::analysis {

/// Distances first <= tau < end.
struct DistanceBin {
    std::size_t first = 0;
    std::size_t end = 0;

    double middle() const {
        return (static_cast<double>(first) + static_cast<double>(end - 1)) / 2.0;
    }
    friend bool operator==(const DistanceBin&, const DistanceBin&) = default;
};

/// Log-spaced bins of the distances 0 … length - 1, four a doubling where that many fit, and one
/// for 0. The bins of a shorter length are the first of those of a longer one, the last cut short.
std::vector<DistanceBin> distance_bins(std::size_t length);

/// `values` summed over each bin.
std::vector<double> binned(std::span<const double> values, std::span<const DistanceBin> bins);

/// A point of a curve over distance.
struct DecayPoint {
    double distance = 0.0;
    double value = 0.0;
    double weight = 0.0;  ///< pairs that the value is the mean of
};

/// value = amplitude exp(-distance / length) + floor.
struct DecayFit {
    bool is_exponential = false;
    std::string reason{};  ///< why not, else empty
    double length = 0.0;   ///< tokens; the other figures are set where `has_line` is true
    double amplitude = 0.0;
    double floor = 0.0;
    double first = 0.0;  ///< the range above the floor
    double last = 0.0;
    double r_squared = 0.0;            ///< of log(value - floor) over that range, weighted
    double power_law_r_squared = 0.0;  ///< the same for a power of distance
    bool has_line = false;
};

/// Fits an exponential by least squares of log(value - floor) where the curve is above twice
/// its floor, beginning at distance 1. The floor is the one, of a grid from 0 to the curve's lowest
/// value, that brings the whole curve nearest in log. A point counts as its pairs, less where the
/// floor's subtraction blows its error up (the delta method). Points are taken at their distance:
/// bins much wider than the length, which an exponential reaches ten lengths out, bias it upward.
///
/// No exponential fits where fewer than six points are above the floor, the line does not fall,
/// falls by less than a factor e over them, explains less than 0.9 of the variance of the logs, or
/// explains less than a power law does.
DecayFit fit_decay(std::span<const DecayPoint> points);

}  // namespace anamnesis::analysis
