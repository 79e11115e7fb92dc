// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"

namespace anamnesis::eval {
namespace {

std::vector<Json> golden_lines(const std::string& kind) {
    std::ifstream file(std::filesystem::path(ANAMNESIS_TESTDATA) / "scoring" / "stats.jsonl");
    std::vector<Json> lines;
    std::string text;
    while (std::getline(file, text)) {
        Json line = Json::parse(text);
        if (line.at("kind").as_string("kind") == kind) {
            lines.push_back(std::move(line));
        }
    }
    EXPECT_FALSE(lines.empty()) << kind;
    return lines;
}

double number(const Json& line, const char* key) {
    return line.at(key).as_double(key);
}

std::uint64_t count(const Json& line, const char* key) {
    return line.at(key).as_unsigned(key);
}

std::vector<double> numbers(const Json& line, const char* key) {
    std::vector<double> values;
    for (const Json& value : line.at(key).as_array(key)) {
        values.push_back(value.as_double(key));
    }
    return values;
}

void expect_close(double actual, double expected) {
    EXPECT_NEAR(actual, expected, 1e-9 * std::max(std::abs(expected), 1e-300));
}

void expect_close(const Interval& actual, const std::vector<double>& expected) {
    expect_close(actual.low, expected.at(0));
    expect_close(actual.high, expected.at(1));
}

std::vector<ProblemCounts> read_problem_counts(const Json& line) {
    std::vector<ProblemCounts> problems;
    const std::vector<double> correct = numbers(line, "correct");
    for (std::size_t i = 0; i < correct.size(); ++i) {
        const Json& samples = line.at("samples");
        problems.push_back({samples.is_array() ? samples.as_array("samples")[i].as_unsigned("n")
                                               : samples.as_unsigned("samples"),
                            static_cast<std::uint64_t>(correct[i])});
    }
    return problems;
}

TEST(Statistics, WilsonIntervalsAgreeWithScipy) {
    for (const Json& line : golden_lines("wilson")) {
        SCOPED_TRACE(line.dump());
        const Interval interval =
            wilson_interval(count(line, "successes"), count(line, "n"), number(line, "confidence"));
        expect_close(interval.low, number(line, "low"));
        expect_close(interval.high, number(line, "high"));
    }
}

TEST(Statistics, NothingMeasuredSaysNothing) {
    const Interval interval = wilson_interval(0, 0);
    EXPECT_EQ(interval.low, 0.0);
    EXPECT_EQ(interval.high, 1.0);
    EXPECT_THROW(wilson_interval(2, 1), Error);
    EXPECT_THROW(wilson_interval(1, 1, 1.0), Error);
    EXPECT_THROW(clustered_mean({}), Error);
    EXPECT_THROW(average_at_k(std::vector<ProblemCounts>{{0, 0}}), Error);
}

TEST(Statistics, McNemarAgreesWithTheBinomialTest) {
    for (const Json& line : golden_lines("mcnemar_exact")) {
        SCOPED_TRACE(line.dump());
        expect_close(
            mcnemar_exact(count(line, "only_first_right"), count(line, "only_second_right")),
            number(line, "p_value"));
    }
}

TEST(Statistics, McNemarIsSymmetricAndSurvivesLargeCounts) {
    EXPECT_EQ(mcnemar_exact(10, 2), mcnemar_exact(2, 10));
    EXPECT_EQ(mcnemar_exact(0, 100'000), 0.0);
    const double p = mcnemar_exact(500'500, 499'500);
    // Normal approximation with continuity correction: z = (1000 - 1) / sqrt(10^6).
    EXPECT_NEAR(p, std::erfc(0.999 / std::sqrt(2.0)), 1e-5);
}

TEST(Statistics, PassAtKAgreesWithExactRationals) {
    for (const Json& line : golden_lines("pass_at_k")) {
        SCOPED_TRACE(line.dump());
        const std::vector<ProblemCounts> problems = read_problem_counts(line);
        const std::vector<double> each = numbers(line, "per_problem");
        for (std::size_t i = 0; i < problems.size(); ++i) {
            expect_close(pass_at_k(problems[i], count(line, "k")), each.at(i));
        }
        expect_close(pass_at_k(problems, count(line, "k")), number(line, "mean"));
    }
}

TEST(Statistics, PassAtKRefusesMoreThanWasSampled) {
    EXPECT_THROW(pass_at_k(ProblemCounts{4, 1}, 5), Error);
    EXPECT_THROW(pass_at_k(ProblemCounts{4, 1}, 0), Error);
    EXPECT_THROW(pass_at_k(ProblemCounts{4, 5}, 1), Error);
}

TEST(Statistics, AverageAtKAgreesWithTheGoldens) {
    for (const Json& line : golden_lines("avg_at_k")) {
        SCOPED_TRACE(line.dump());
        const ClusteredMean mean = average_at_k(read_problem_counts(line));
        expect_close(mean.mean, number(line, "mean"));
        expect_close(mean.standard_deviation, number(line, "sd_over_problems_ddof1"));
        expect_close(mean.standard_error, number(line, "clustered_se"));
        expect_close(mean.normal, numbers(line, "ci95_normal"));
        expect_close(mean.student, numbers(line, "ci95_t"));
    }
}

TEST(Statistics, OneProblemHasNoStandardError) {
    const ClusteredMean mean = average_at_k(std::vector<ProblemCounts>{{64, 32}});
    EXPECT_EQ(mean.mean, 0.5);
    EXPECT_TRUE(std::isnan(mean.standard_error));
    EXPECT_EQ(mean.normal.low, -std::numeric_limits<double>::infinity());
}

TEST(Statistics, PairedDifferencesAgreeWithScipy) {
    for (const Json& line : golden_lines("paired_difference")) {
        SCOPED_TRACE(line.dump());
        const PairedDifference paired =
            paired_difference(numbers(line, "first"), numbers(line, "second"));
        expect_close(paired.difference.mean, number(line, "mean"));
        expect_close(paired.difference.standard_error, number(line, "se"));
        expect_close(paired.t, number(line, "t"));
        expect_close(paired.p_value, number(line, "p_value_t"));
    }
}

TEST(Statistics, EqualPairsDifferByNothing) {
    const std::vector<double> values{0.25, 0.5, 1.0};
    EXPECT_EQ(paired_difference(values, values).p_value, 1.0);
    const std::vector<double> lower{0.0, 0.25, 0.75};
    EXPECT_EQ(paired_difference(values, lower).p_value, 0.25);
    EXPECT_THROW(paired_difference(values, std::vector<double>{1.0}), Error);
}

TEST(Statistics, TheMajorityWinsAndTiesGoToTheFirstVoter) {
    using Votes = std::vector<std::optional<std::size_t>>;
    EXPECT_EQ(majority_vote(Votes{3, 1, 1}), 1U);
    EXPECT_EQ(majority_vote(Votes{3, 1, 1, 3}), 3U);
    EXPECT_EQ(majority_vote(Votes{std::nullopt, 2, 1, std::nullopt}), 2U);
    EXPECT_EQ(majority_vote(Votes{std::nullopt, std::nullopt}), std::nullopt);
    EXPECT_EQ(majority_vote(Votes{}), std::nullopt);
}

TEST(Bootstrap, TheSeedDecidesAndTheIntervalIsThatOfTheMean) {
    std::vector<double> values;
    Random random(7);
    for (int i = 0; i < 400; ++i) {
        values.push_back(random.uniform());
    }
    const Interval first = bootstrap_mean(values, {.seed = 1});
    const Interval again = bootstrap_mean(values, {.seed = 1});
    EXPECT_EQ(first.low, again.low);
    EXPECT_EQ(first.high, again.high);
    EXPECT_NE(first.low, bootstrap_mean(values, {.seed = 2}).low);
    const ClusteredMean mean = clustered_mean(values);
    EXPECT_NEAR(first.low, mean.normal.low, 0.1 * mean.standard_error);
    EXPECT_NEAR(first.high, mean.normal.high, 0.1 * mean.standard_error);
}

TEST(Bootstrap, CoversTheTruthAboutAsOftenAsItSays) {
    Random random(11);
    int covered = 0;
    for (std::uint64_t trial = 0; trial < 400; ++trial) {
        std::vector<double> values;
        for (int i = 0; i < 60; ++i) {
            values.push_back(random.uniform());
        }
        const Interval interval = bootstrap_mean(values, {.seed = trial, .resamples = 500});
        covered += interval.low <= 0.5 && 0.5 <= interval.high ? 1 : 0;
    }
    EXPECT_GT(covered, 400 * 0.90);
    EXPECT_LT(covered, 400 * 0.99);
}

TEST(RecoveredShare, IsOneForAFullRepairAndZeroForNone) {
    std::vector<double> pre;
    std::vector<double> post;
    std::vector<double> half;
    Random random(3);
    for (int i = 0; i < 100; ++i) {
        pre.push_back(0.8 + 0.2 * random.uniform());
        post.push_back(0.2 * random.uniform());
        half.push_back(0.5 * (pre.back() + post.back()));
    }
    EXPECT_EQ(recovered_share(pre, post, pre).share, 1.0);
    EXPECT_EQ(recovered_share(pre, post, post).share, 0.0);
    const RecoveredShare share = recovered_share(pre, post, half);
    ASSERT_TRUE(share.share.has_value() && share.interval.has_value());
    EXPECT_NEAR(*share.share, 0.5, 1e-12);
    EXPECT_NEAR(share.interval->low, 0.5, 1e-12);
    EXPECT_NEAR(share.interval->high, 0.5, 1e-12);
}

TEST(RecoveredShare, IsUndefinedWhereNothingWasLost) {
    const std::vector<double> pre{0.5, 0.5, 0.5};
    EXPECT_FALSE(recovered_share(pre, pre, pre).share.has_value());
    // A loss within the noise has a value, but no interval.
    const std::vector<double> barely{0.5, 0.0, 0.9};
    const RecoveredShare share = recovered_share(pre, barely, pre);
    EXPECT_TRUE(share.share.has_value());
    EXPECT_FALSE(share.interval.has_value());
    EXPECT_THROW(recovered_share(pre, pre, std::vector<double>{1.0}), Error);
}

TEST(ShareInterval, IsWilsonsWhereEachProblemHasOneSample) {
    for (const std::uint64_t right : {0U, 1U, 3U}) {
        std::vector<ProblemCounts> counts(3, {.samples = 1, .correct = 0});
        for (std::size_t i = 0; i < right; ++i) {
            counts[i].correct = 1;
        }
        const Interval expected = wilson_interval(right, 3);
        EXPECT_EQ(share_interval(counts).low, expected.low) << right;
        EXPECT_EQ(share_interval(counts).high, expected.high) << right;
    }
    // 0 of 3 says little: not [0, 0].
    EXPECT_NEAR(share_interval(std::vector<ProblemCounts>(3, {.samples = 1})).high, 0.5615, 1e-4);
}

TEST(ShareInterval, StaysWithinZeroAndOneAndIsNoPoint) {
    for (const std::vector<ProblemCounts>& counts :
         {std::vector<ProblemCounts>{{4, 0}, {4, 4}},
          std::vector<ProblemCounts>{{4, 0}, {4, 0}, {4, 0}},
          std::vector<ProblemCounts>{{4, 4}, {4, 4}, {4, 4}},
          std::vector<ProblemCounts>{{4, 2}, {4, 2}, {4, 2}},
          std::vector<ProblemCounts>{{4, 4}, {4, 4}, {4, 3}},
          std::vector<ProblemCounts>{{8, 3}}}) {
        const Interval interval = share_interval(counts);
        const double mean = average_at_k(counts).mean;
        EXPECT_GE(interval.low, 0.0);
        EXPECT_LE(interval.high, 1.0);
        EXPECT_LE(interval.low, mean);
        EXPECT_GE(interval.high, mean);
        EXPECT_GT(interval.high - interval.low, 0.2);
    }
}

TEST(ShareInterval, IsNearStudentsForManyProblems) {
    std::vector<ProblemCounts> counts;
    for (std::uint64_t i = 0; i < 200; ++i) {
        counts.push_back({.samples = 8, .correct = i % 9});
    }
    const Interval interval = share_interval(counts);
    const Interval student = average_at_k(counts).student;
    EXPECT_NEAR(interval.low, student.low, 0.002);
    EXPECT_NEAR(interval.high, student.high, 0.002);
}

}  // namespace
}  // namespace anamnesis::eval
