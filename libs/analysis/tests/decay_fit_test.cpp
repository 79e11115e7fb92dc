// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/decay_fit.hpp"

#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/random.hpp"

namespace anamnesis::analysis {
namespace {

/// The curve over every distance, in bins, weighted by the pairs of one text.
std::vector<DecayPoint> make_curve(const std::function<double(double)>& value,
                                   std::size_t length = 4096) {
    std::vector<DecayPoint> points;
    for (const DistanceBin& bin : distance_bins(length)) {
        double sum = 0.0;
        double pairs = 0.0;
        for (std::size_t tau = bin.first; tau < bin.end; ++tau) {
            const auto count = static_cast<double>(length - tau);
            sum += count * value(static_cast<double>(tau));
            pairs += count;
        }
        points.push_back({.distance = bin.middle(), .value = sum / pairs, .weight = pairs});
    }
    return points;
}

TEST(DistanceBins, CoverEveryDistanceOnceAndGrowByAFixedFactor) {
    const std::vector<DistanceBin> bins = distance_bins(10'000);
    EXPECT_EQ(bins.front(), (DistanceBin{0, 1}));
    EXPECT_EQ(bins.back().end, 10'000U);
    for (std::size_t i = 1; i < bins.size(); ++i) {
        EXPECT_EQ(bins[i].first, bins[i - 1].end);
    }
    EXPECT_EQ(bins.size(), 47U);
    const std::vector<DistanceBin> fewer = distance_bins(1'000);
    for (std::size_t i = 0; i + 1 < fewer.size(); ++i) {
        EXPECT_EQ(fewer[i], bins[i]);
    }
}

TEST(DistanceBins, SumWhatLiesInThem) {
    const std::vector<double> values{1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<double> sums =
        binned(values, std::vector<DistanceBin>{{0, 1}, {1, 4}, {6, 12}});
    EXPECT_EQ(sums, (std::vector<double>{1, 9, 15}));
}

TEST(DecayFit, FindsTheLengthOfAPureExponential) {
    const DecayFit fit =
        fit_decay(make_curve([](double tau) { return 3e-5 * std::exp(-tau / 115.0); }, 1024));
    EXPECT_TRUE(fit.is_exponential) << fit.reason;
    EXPECT_NEAR(fit.length, 115.0, 1.5);
    EXPECT_NEAR(fit.amplitude / 3e-5, 1.0, 0.02);
}

TEST(DecayFit, FindsTheLengthAboveAFloor) {
    for (const double floor : {1e-3, 0.02, 0.1}) {
        const DecayFit fit =
            fit_decay(make_curve([&](double tau) { return std::exp(-tau / 172.0) + floor; }));
        EXPECT_TRUE(fit.is_exponential) << fit.reason;
        EXPECT_NEAR(fit.length, 172.0, 5.0) << floor;
        EXPECT_NEAR(fit.floor, floor, 0.1 * floor) << floor;
    }
}

TEST(DecayFit, DoesNotMindNoise) {
    Random random(7);
    std::vector<DecayPoint> points =
        make_curve([](double tau) { return std::exp(-tau / 60.0) + 0.01; });
    for (DecayPoint& point : points) {
        point.value *= std::exp(0.05 * random.normal());
    }
    const DecayFit fit = fit_decay(points);
    EXPECT_TRUE(fit.is_exponential) << fit.reason;
    EXPECT_NEAR(fit.length, 60.0, 6.0);
}

TEST(DecayFit, SaysThatAPowerLawIsNoExponential) {
    const DecayFit fit =
        fit_decay(make_curve([](double tau) { return std::pow(tau + 1.0, -1.2); }));
    EXPECT_FALSE(fit.is_exponential);
    EXPECT_FALSE(fit.reason.empty());
}

TEST(DecayFit, SaysThatAFlatOrRisingCurveDoesNotFall) {
    EXPECT_FALSE(fit_decay(make_curve([](double) { return 1.0; })).is_exponential);
    const DecayFit rising = fit_decay(make_curve([](double tau) { return 1.0 + tau / 100.0; }));
    EXPECT_FALSE(rising.is_exponential);
    EXPECT_NE(rising.reason.find("does not fall"), std::string::npos) << rising.reason;
}

TEST(DecayFit, EndsItsRangeWhereTheCurveIsNotPositive) {
    std::vector<DecayPoint> points = make_curve([](double tau) { return std::exp(-tau / 40.0); });
    for (DecayPoint& point : points) {
        point.value = point.distance > 200.0 ? -1e-4 : point.value;
    }
    const DecayFit fit = fit_decay(points);
    EXPECT_TRUE(fit.is_exponential) << fit.reason;
    EXPECT_NEAR(fit.length, 40.0, 2.0);
    EXPECT_LE(fit.last, 200.0);
}

TEST(DecayFit, NeedsSomePoints) {
    const std::vector<DecayPoint> points{{1, 1.0, 1}, {2, 0.5, 1}, {3, 0.25, 1}};
    const DecayFit fit = fit_decay(points);
    EXPECT_FALSE(fit.is_exponential);
    EXPECT_FALSE(fit.has_line);
    EXPECT_NE(fit.reason.find("fewer than"), std::string::npos);
}

}  // namespace
}  // namespace anamnesis::analysis
