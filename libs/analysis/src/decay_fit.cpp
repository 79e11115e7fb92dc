// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/decay_fit.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/text.hpp"

namespace anamnesis::analysis {
namespace {

constexpr std::size_t fewest_points = 6;
constexpr double least_r_squared = 0.9;

struct LinePoint {
    double x = 0.0;
    double y = 0.0;
    double weight = 0.0;
};

struct Line {
    double intercept = 0.0;
    double slope = 0.0;
    double r_squared = 0.0;
};

/// Weighted least squares.
Line fit_line(std::span<const LinePoint> points) {
    double weight = 0.0;
    double x = 0.0;
    double y = 0.0;
    for (const LinePoint& point : points) {
        weight += point.weight;
        x += point.weight * point.x;
        y += point.weight * point.y;
    }
    x /= weight;
    y /= weight;
    double xx = 0.0;
    double xy = 0.0;
    double yy = 0.0;
    for (const LinePoint& point : points) {
        xx += point.weight * (point.x - x) * (point.x - x);
        xy += point.weight * (point.x - x) * (point.y - y);
        yy += point.weight * (point.y - y) * (point.y - y);
    }
    const double slope = xx > 0.0 ? xy / xx : 0.0;
    return {.intercept = y - slope * x,
            .slope = slope,
            .r_squared = xx > 0.0 && yy > 0.0 ? xy * xy / (xx * yy) : 0.0};
}

/// Points from the first on, as long as they are above twice the floor.
std::vector<LinePoint> above(std::span<const DecayPoint> points, double floor) {
    std::vector<LinePoint> line;
    for (const DecayPoint& point : points) {
        if (!(point.value > 2.0 * floor) || point.value <= 0.0) {
            break;
        }
        const double over = point.value - floor;
        const double share = over / point.value;
        line.push_back(
            {.x = point.distance, .y = std::log(over), .weight = point.weight * share * share});
    }
    return line;
}

/// Weighted squares of what log(value) misses, over all points that have a logarithm.
double misfit(std::span<const DecayPoint> points, const Line& line, double floor) {
    double sum = 0.0;
    for (const DecayPoint& point : points) {
        const double fitted = std::exp(line.intercept + line.slope * point.distance) + floor;
        if (point.value > 0.0 && fitted > 0.0) {
            const double miss = std::log(point.value / fitted);
            sum += point.weight * miss * miss;
        }
    }
    return sum;
}

struct Candidate {
    Line line;
    double floor = 0.0;
    double misfit = std::numeric_limits<double>::infinity();
    std::vector<LinePoint> points{};
};

std::optional<Candidate> find_best_candidate(std::span<const DecayPoint> points) {
    double lowest = std::numeric_limits<double>::infinity();
    for (const DecayPoint& point : points) {
        if (point.value > 0.0) {
            lowest = std::min(lowest, point.value);
        }
    }
    constexpr int steps = 40;
    std::optional<Candidate> best;
    for (int i = 0; i <= steps; ++i) {
        const double floor = lowest * i / steps;
        std::vector<LinePoint> line_points = above(points, floor);
        if (line_points.size() < fewest_points) {
            continue;
        }
        const Line line = fit_line(line_points);
        const double miss = misfit(points, line, floor);
        if (!best || miss < best->misfit) {
            best = Candidate{
                .line = line, .floor = floor, .misfit = miss, .points = std::move(line_points)};
        }
    }
    return best;
}

double power_law_r_squared(std::vector<LinePoint> points) {
    for (LinePoint& point : points) {
        point.x = std::log(point.x);
    }
    return fit_line(points).r_squared;
}

std::string describe_doubt(const DecayFit& fit) {
    if (!(fit.length > 0.0)) {
        return "the curve does not fall with distance";
    }
    if (fit.last - fit.first < fit.length) {
        return format(
            "it falls by less than a factor e over the distances {:.0f} to {:.0f} that "
            "are above its floor",
            fit.first,
            fit.last);
    }
    if (fit.r_squared < least_r_squared) {
        return format("an exponential explains {:.2f} of the logarithms' variance, less than {}",
                      fit.r_squared,
                      least_r_squared);
    }
    if (fit.power_law_r_squared > fit.r_squared) {
        return format(
            "a power of distance explains more of the logarithms' variance ({:.3f}) than "
            "an exponential ({:.3f})",
            fit.power_law_r_squared,
            fit.r_squared);
    }
    return {};
}

}  // namespace

std::vector<DistanceBin> distance_bins(std::size_t length) {
    constexpr double ratio = 1.189207115002721;  // 2^(1/4)
    std::vector<DistanceBin> bins;
    for (std::size_t first = 0; first < length;) {
        const auto wanted = static_cast<std::size_t>(std::ceil(static_cast<double>(first) * ratio));
        const std::size_t end = std::max(first + 1, wanted);
        bins.push_back({.first = first, .end = std::min(end, length)});
        first = end;
    }
    return bins;
}

std::vector<double> binned(std::span<const double> values, std::span<const DistanceBin> bins) {
    std::vector<double> sums;
    for (const DistanceBin& bin : bins) {
        double sum = 0.0;
        for (std::size_t tau = bin.first; tau < std::min(bin.end, values.size()); ++tau) {
            sum += values[tau];
        }
        sums.push_back(sum);
    }
    return sums;
}

DecayFit fit_decay(std::span<const DecayPoint> points) {
    std::vector<DecayPoint> measured;
    std::ranges::copy_if(points, std::back_inserter(measured), [](const DecayPoint& point) {
        return point.distance >= 1.0 && point.weight > 0.0 && std::isfinite(point.value);
    });
    DecayFit fit;
    const std::optional<Candidate> best = find_best_candidate(measured);
    if (!best) {
        fit.reason = format("fewer than {} distances are above the floor", fewest_points);
        return fit;
    }
    const Candidate& chosen = *best;
    fit.has_line = true;
    fit.length = chosen.line.slope < 0.0 ? -1.0 / chosen.line.slope
                                         : -std::numeric_limits<double>::infinity();
    fit.amplitude = std::exp(chosen.line.intercept);
    fit.floor = chosen.floor;
    fit.first = chosen.points.front().x;
    fit.last = chosen.points.back().x;
    fit.r_squared = chosen.line.r_squared;
    fit.power_law_r_squared = power_law_r_squared(chosen.points);
    fit.reason = describe_doubt(fit);
    fit.is_exponential = fit.reason.empty();
    return fit;
}

}  // namespace anamnesis::analysis
