// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/eval/statistics.hpp"

namespace anamnesis::eval {
namespace {

/// The quantile of sorted values, linear between neighbours.
double quantile(std::span<const double> sorted, double share) {
    const double place = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const std::size_t above = std::min(below + 1, sorted.size() - 1);
    const double weight = place - static_cast<double>(below);
    return sorted[below] + weight * (sorted[above] - sorted[below]);
}

double mean_over(std::span<const double> values, std::span<const std::size_t> clusters) {
    double sum = 0.0;
    for (const std::size_t cluster : clusters) {
        sum += values[cluster];
    }
    return sum / static_cast<double>(clusters.size());
}

}  // namespace

std::optional<Interval> bootstrap_interval(std::size_t cluster_count,
                                           const ResampleStatistic& statistic,
                                           const BootstrapOptions& options) {
    ANAMNESIS_CHECK(cluster_count > 0 && options.resamples > 0, "nothing to resample");
    ANAMNESIS_CHECK(options.confidence > 0.0 && options.confidence < 1.0,
                    "confidence must be inside (0, 1)");
    Random random(options.seed);
    std::vector<std::size_t> drawn(cluster_count);
    std::vector<double> values;
    values.reserve(options.resamples);
    for (std::uint32_t i = 0; i < options.resamples; ++i) {
        for (std::size_t& cluster : drawn) {
            cluster = random.below(cluster_count);
        }
        const double value = statistic(drawn);
        if (std::isfinite(value)) {
            values.push_back(value);
        }
    }
    const double tail = 0.5 * (1.0 - options.confidence);
    const auto missing = static_cast<double>(options.resamples - values.size());
    if (values.empty() || missing > tail * static_cast<double>(options.resamples)) {
        return std::nullopt;
    }
    std::ranges::sort(values);
    return Interval{quantile(values, tail), quantile(values, 1.0 - tail)};
}

Interval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
    const auto interval = bootstrap_interval(
        values.size(),
        [values](std::span<const std::size_t> clusters) { return mean_over(values, clusters); },
        options);
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return interval.value_or(Interval{-infinity, infinity});
}

RecoveredShare recovered_share(std::span<const double> pre,
                               std::span<const double> post,
                               std::span<const double> repaired,
                               const BootstrapOptions& options) {
    ANAMNESIS_CHECK(pre.size() == post.size() && post.size() == repaired.size() && !pre.empty(),
                    "three checkpoints need the same problems");
    const ResampleStatistic share = [&](std::span<const std::size_t> clusters) {
        const double after = mean_over(post, clusters);
        const double lost = mean_over(pre, clusters) - after;
        return lost > 0.0 ? (mean_over(repaired, clusters) - after) / lost
                          : std::numeric_limits<double>::quiet_NaN();
    };
    std::vector<std::size_t> everyone(pre.size());
    for (std::size_t i = 0; i < everyone.size(); ++i) {
        everyone[i] = i;
    }
    RecoveredShare result;
    const double value = share(everyone);
    if (std::isfinite(value)) {
        result.share = value;
        result.interval = bootstrap_interval(pre.size(), share, options);
    }
    return result;
}

}  // namespace anamnesis::eval
