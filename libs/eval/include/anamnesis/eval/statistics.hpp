// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace anamnesis::eval {

/// Both ends belong to it. Unbounded ends are infinite.
struct Interval {
    double low = 0.0;
    double high = 0.0;
};

constexpr double default_confidence = 0.95;

/// The interval of a share, successes / count, by Wilson's score. Count 0 gives [0, 1].
/// Errors: `internal` where successes > count or confidence is not inside (0, 1).
/// Source: Wilson, JASA 22 (1927) 209; without continuity correction.
Interval wilson_interval(std::uint64_t successes,
                         std::uint64_t count,
                         double confidence = default_confidence);

/// Two-sided p-value of McNemar's exact test: the binomial test with 1/2 on the pairs in which one
/// side alone is right; 1 where there is no such pair. Exact to about 1e-12 down to 1e-4900.
double mcnemar_exact(std::uint64_t only_first_right, std::uint64_t only_second_right);

/// What one problem gave: samples that were really generated, and how many of them are right.
struct ProblemCounts {
    std::uint64_t samples = 0;
    std::uint64_t correct = 0;
};

/// The chance that k samples hold a right one, 1 - C(n-c, k) / C(n, k), unbiased; of one problem.
/// Errors: `internal` where k is 0 or above the number of samples, or correct > samples.
/// Source: Chen et al., arXiv 2107.03374, §2.1.
double pass_at_k(const ProblemCounts& problem, std::uint64_t k);

/// Its mean over problems. Errors: as above, also without problems.
double pass_at_k(std::span<const ProblemCounts> problems, std::uint64_t k);

/// A mean over problems. Problems are the clusters: samples of one problem are not independent, so
/// only the spread between problems says how far the mean may be off.
struct ClusteredMean {
    std::size_t clusters = 0;
    double mean = 0.0;
    double standard_deviation = 0.0;  ///< over clusters, n - 1 in the denominator; NaN for one
    double standard_error = 0.0;      ///< standard_deviation / sqrt(clusters)
    Interval normal;                  ///< mean ± z · standard_error
    Interval student;                 ///< mean ± t · standard_error, clusters - 1 degrees
};

/// Errors: `internal` without values. One value has an unbounded interval.
ClusteredMean clustered_mean(std::span<const double> values,
                             double confidence = default_confidence);

/// avg@n: the mean over problems of correct / samples, with the samples each really has.
/// Errors: `internal` without problems, or for one without samples.
ClusteredMean average_at_k(std::span<const ProblemCounts> problems,
                           double confidence = default_confidence);

/// The interval of the share of right samples, never outside [0, 1] and never a point. With one
/// sample of each problem it is Wilson's. With several it is Wilson's for the number of independent
/// samples that spread as far between problems as these do, corrected by Student's t for few
/// problems; for the number of problems where all have the same share. One problem with several
/// samples says nothing of others: [0, 1].
/// Errors: `internal` without problems, or for one without samples.
/// Source: Korn & Graubard, Survey Methodology 24 (1998) 193, with Wilson's interval; Dean &
///         Pagano, J. Survey Stat. Methodol. 3 (2015) 484.
Interval share_interval(std::span<const ProblemCounts> problems,
                        double confidence = default_confidence);

/// Means of `first - second`, problem by problem, and Student's paired t test.
struct PairedDifference {
    ClusteredMean difference;
    double t = 0.0;  ///< NaN where no difference varies
    /// Two-sided; 1 where all are zero. Where all are equal and not zero, which tells nothing of
    /// how they vary, that of the sign test.
    double p_value = 1.0;
};

/// Errors: `internal` where the lengths differ or are 0.
PairedDifference paired_difference(std::span<const double> first,
                                   std::span<const double> second,
                                   double confidence = default_confidence);

/// maj@k: the class that most samples gave. `classes` holds one entry a sample, equal answers
/// having equal numbers; samples without an answer are empty and do not vote. Among classes with
/// equally many votes the one whose first vote came earliest wins. Empty where nobody votes.
std::optional<std::size_t> majority_vote(std::span<const std::optional<std::size_t>> classes);

struct BootstrapOptions {
    std::uint64_t seed = 0;
    std::uint32_t resamples = 10'000;
    double confidence = default_confidence;
};

/// A statistic of a resample, given by the clusters it drew (indices, with repeats); a value that
/// is not finite says that the statistic does not exist there.
using ResampleStatistic = std::function<double(std::span<const std::size_t> clusters)>;

/// Percentile interval over resamples of whole clusters; the same seed gives the same interval.
/// Empty where the statistic fails to exist in more resamples than one tail holds.
/// Errors: `internal` without clusters or resamples.
/// Cost:   resamples calls of `statistic`.
/// Source: Efron & Tibshirani, An Introduction to the Bootstrap, §13.3; quantiles interpolated
///         linearly between order statistics.
std::optional<Interval> bootstrap_interval(std::size_t cluster_count,
                                           const ResampleStatistic& statistic,
                                           const BootstrapOptions& options = {});

/// Percentile bootstrap of the mean of one value a cluster.
Interval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options = {});

/// The share of a loss that a repair wins back: (repaired - post) / (pre - post) of the means.
struct RecoveredShare {
    std::optional<double> share;       ///< empty where pre is not above post: nothing was lost
    std::optional<Interval> interval;  ///< empty also where resamples often show no loss
};

/// The three spans hold one score a problem, the same problems in the same order; resamples draw
/// problems, so the three checkpoints stay paired.
/// Errors: `internal` where the lengths differ or are 0.
RecoveredShare recovered_share(std::span<const double> pre,
                               std::span<const double> post,
                               std::span<const double> repaired,
                               const BootstrapOptions& options = {});

}  // namespace anamnesis::eval
