// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"

#include "distributions.hpp"

namespace anamnesis::eval {
namespace {

void check_confidence(double confidence) {
    ANAMNESIS_CHECK(confidence > 0.0 && confidence < 1.0, "confidence must be inside (0, 1)");
}

double compute_mean(std::span<const double> values) {
    double sum = 0.0;
    for (const double value : values) {
        sum += value;
    }
    return sum / static_cast<double>(values.size());
}

/// Of a share among `n` independent trials, which need not be whole.
Interval wilson_of_share(double share, double n, double confidence) {
    const double z = normal_quantile_two_sided(confidence);
    const double square = z * z;
    const double centre = (share + square / (2 * n)) / (1 + square / n);
    const double half =
        z / (1 + square / n) * std::sqrt(share * (1 - share) / n + square / (4 * n * n));
    return {share == 0.0 ? 0.0 : std::max(0.0, centre - half),
            share == 1.0 ? 1.0 : std::min(1.0, centre + half)};
}

}  // namespace

Interval wilson_interval(std::uint64_t successes, std::uint64_t count, double confidence) {
    ANAMNESIS_CHECK(successes <= count, "more successes than trials");
    check_confidence(confidence);
    if (count == 0) {
        return {0.0, 1.0};
    }
    const auto n = static_cast<double>(count);
    return wilson_of_share(static_cast<double>(successes) / n, n, confidence);
}

double mcnemar_exact(std::uint64_t only_first_right, std::uint64_t only_second_right) {
    const std::uint64_t fewer = std::min(only_first_right, only_second_right);
    const std::uint64_t pairs = only_first_right + only_second_right;
    if (only_first_right == only_second_right) {
        return 1.0;
    }
    // P(X <= fewer) = C(pairs, fewer) / 2^pairs · (1 + r1 + r1 r2 + …), r_j the ratio of a term to
    // the one above it. Mantissa and exponent are apart, so that nothing underflows on the way.
    long double series = 1.0L;
    long double term = 1.0L;
    for (std::uint64_t i = fewer; i > 0; --i) {
        term *= static_cast<long double>(i) / static_cast<long double>(pairs - i + 1);
        series += term;
        if (term < series * std::numeric_limits<long double>::epsilon()) {
            break;
        }
    }
    long double mantissa = series;
    auto exponent = -static_cast<std::int64_t>(pairs) + 1;
    for (std::uint64_t i = 1; i <= fewer; ++i) {
        mantissa *= static_cast<long double>(pairs - fewer + i) / static_cast<long double>(i);
        int shift = 0;
        mantissa = std::frexp(mantissa, &shift);
        exponent += shift;
    }
    exponent = std::max<std::int64_t>(exponent, -20'000);
    return std::min(1.0, static_cast<double>(std::ldexp(mantissa, static_cast<int>(exponent))));
}

double pass_at_k(const ProblemCounts& problem, std::uint64_t k) {
    ANAMNESIS_CHECK(problem.correct <= problem.samples, "more right samples than samples");
    ANAMNESIS_CHECK(k > 0 && k <= problem.samples, "k must be between 1 and the samples");
    const std::uint64_t wrong = problem.samples - problem.correct;
    if (wrong < k) {
        return 1.0;
    }
    double all_wrong = 1.0;
    for (std::uint64_t i = wrong + 1; i <= problem.samples; ++i) {
        all_wrong *= 1.0 - static_cast<double>(k) / static_cast<double>(i);
    }
    return 1.0 - all_wrong;
}

double pass_at_k(std::span<const ProblemCounts> problems, std::uint64_t k) {
    ANAMNESIS_CHECK(!problems.empty(), "no problems");
    double sum = 0.0;
    for (const ProblemCounts& problem : problems) {
        sum += pass_at_k(problem, k);
    }
    return sum / static_cast<double>(problems.size());
}

ClusteredMean clustered_mean(std::span<const double> values, double confidence) {
    ANAMNESIS_CHECK(!values.empty(), "no values");
    check_confidence(confidence);
    constexpr double infinity = std::numeric_limits<double>::infinity();
    ClusteredMean result;
    result.clusters = values.size();
    result.mean = compute_mean(values);
    if (values.size() == 1) {
        result.standard_deviation = std::numeric_limits<double>::quiet_NaN();
        result.standard_error = result.standard_deviation;
        result.normal = {-infinity, infinity};
        result.student = result.normal;
        return result;
    }
    double squares = 0.0;
    for (const double value : values) {
        squares += (value - result.mean) * (value - result.mean);
    }
    const auto n = static_cast<double>(values.size());
    result.standard_deviation = std::sqrt(squares / (n - 1));
    result.standard_error = result.standard_deviation / std::sqrt(n);
    const double normal = normal_quantile_two_sided(confidence) * result.standard_error;
    const double student = student_quantile_two_sided(confidence, n - 1) * result.standard_error;
    result.normal = {result.mean - normal, result.mean + normal};
    result.student = {result.mean - student, result.mean + student};
    return result;
}

Interval share_interval(std::span<const ProblemCounts> problems, double confidence) {
    const ClusteredMean mean = average_at_k(problems, confidence);
    std::uint64_t samples = 0;
    std::uint64_t correct = 0;
    for (const ProblemCounts& problem : problems) {
        samples += problem.samples;
        correct += problem.correct;
    }
    const auto clusters = static_cast<double>(mean.clusters);
    if (samples == mean.clusters) {
        return wilson_interval(correct, samples, confidence);
    }
    if (mean.clusters == 1) {
        return {0.0, 1.0};
    }
    double independent = clusters;
    const double variance = mean.standard_error * mean.standard_error;
    if (variance > 1e-12) {
        const double few = normal_quantile_two_sided(confidence) /
                           student_quantile_two_sided(confidence, clusters - 1);
        independent = std::min(mean.mean * (1 - mean.mean) / variance * few * few,
                               static_cast<double>(samples));
    }
    return wilson_of_share(mean.mean, independent, confidence);
}

ClusteredMean average_at_k(std::span<const ProblemCounts> problems, double confidence) {
    std::vector<double> shares;
    shares.reserve(problems.size());
    for (const ProblemCounts& problem : problems) {
        ANAMNESIS_CHECK(problem.samples > 0 && problem.correct <= problem.samples,
                        "a problem without samples, or with more right ones than samples");
        shares.push_back(static_cast<double>(problem.correct) /
                         static_cast<double>(problem.samples));
    }
    return clustered_mean(shares, confidence);
}

PairedDifference paired_difference(std::span<const double> first,
                                   std::span<const double> second,
                                   double confidence) {
    ANAMNESIS_CHECK(first.size() == second.size(), "pairs of different number");
    std::vector<double> differences(first.size());
    std::ranges::transform(first, second, differences.begin(), std::minus<>());
    PairedDifference result;
    result.difference = clustered_mean(differences, confidence);
    result.t = result.difference.mean / result.difference.standard_error;
    if (result.difference.standard_error == 0.0) {
        result.t = std::numeric_limits<double>::quiet_NaN();
        result.p_value = result.difference.mean == 0.0 ? 1.0 : mcnemar_exact(differences.size(), 0);
    } else if (differences.size() > 1) {
        result.p_value =
            student_tail_two_sided(result.t, static_cast<double>(differences.size() - 1));
    }
    return result;
}

std::optional<std::size_t> majority_vote(std::span<const std::optional<std::size_t>> classes) {
    std::map<std::size_t, std::size_t> votes;
    for (const auto& choice : classes) {
        if (choice) {
            ++votes[*choice];
        }
    }
    std::optional<std::size_t> winner;
    for (const auto& choice : classes) {
        if (choice && (!winner || votes[*choice] > votes[*winner])) {
            winner = choice;
        }
    }
    return winner;
}

}  // namespace anamnesis::eval
