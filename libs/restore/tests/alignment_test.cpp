// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/alignment.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/procrustes.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/method.hpp"

#include "golden_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RotaryLayout;
using linalg::Matrix;
using Pairs = RotaryLayout::Pairs;

/// The rows of a head that was rotated pair by pair, as `Gauge::apply` with these angles would.
Matrix turned(const Matrix& rows, const std::vector<linalg::Plane>& planes, double first_angle) {
    Matrix result = rows;
    double angle = first_angle;
    for (const auto& [a, b] : planes) {
        for (std::size_t j = 0; j < rows.columns(); ++j) {
            result(a, j) = std::cos(angle) * rows(a, j) + std::sin(angle) * rows(b, j);
            result(b, j) = -std::sin(angle) * rows(a, j) + std::cos(angle) * rows(b, j);
        }
        angle += 0.4;
    }
    return result;
}

TEST(RotaryPlanes, PairRowsAsTheLayoutSays) {
    const auto half = rotary_planes({Pairs::half_split, 4, 2}, 8);
    ASSERT_EQ(half.size(), 2U);
    EXPECT_EQ(half[1].first, 3U);
    EXPECT_EQ(half[1].second, 5U);
    const auto interleaved = rotary_planes({Pairs::interleaved, 4, 2}, 8);
    ASSERT_EQ(interleaved.size(), 2U);
    EXPECT_EQ(interleaved[1].first, 4U);
    EXPECT_EQ(interleaved[1].second, 5U);
    EXPECT_TRUE(rotary_planes({}, 8).empty());
    EXPECT_THROW(static_cast<void>(rotary_planes({Pairs::half_split, 8, 2}, 8)), Error);
}

TEST(GaugeFit, FindsTheAnglesThatWereApplied) {
    for (const RotaryLayout& rotary : {RotaryLayout{Pairs::half_split, 8, 0},
                                       RotaryLayout{Pairs::interleaved, 8, 0},
                                       RotaryLayout{Pairs::half_split, 4, 3},
                                       RotaryLayout{Pairs::interleaved, 6, 2}}) {
        const auto planes = rotary_planes(rotary, 8);
        GaugeFit fit(8, rotary);
        double misfit = 0.0;
        std::vector<Matrix> pre;
        std::vector<Matrix> post;
        for (std::uint64_t head = 0; head < 3; ++head) {
            pre.push_back(random_rows(8, 24, head + 1));
            post.push_back(turned(pre.back(), planes, 0.3));
            fit.add(pre.back(), post.back());
        }
        const Gauge gauge = fit.solve();
        ASSERT_EQ(gauge.angles.size(), planes.size());
        for (std::size_t i = 0; i < planes.size(); ++i) {
            EXPECT_NEAR(gauge.angles[i], 0.3 + 0.4 * static_cast<double>(i), 1e-12);
        }
        for (std::size_t head = 0; head < 3; ++head) {
            misfit += gauge.misfit(pre[head], post[head]);
        }
        EXPECT_LT(misfit, 1e-24);
    }
}

TEST(GaugeFit, TheOrderOfHeadsDoesNotMatterAndTheFitNeverHurts) {
    for (const RotaryLayout& rotary : {RotaryLayout{}, RotaryLayout{Pairs::half_split, 4, 0}}) {
        GaugeFit forward(8, rotary);
        GaugeFit backward(8, rotary);
        double before = 0.0;
        for (std::uint64_t head = 0; head < 4; ++head) {
            const Matrix pre = random_rows(8, 24, head);
            const Matrix post = random_rows(8, 24, head + 100);
            forward.add(pre, post);
            before += linalg::sum_of_squared_differences(pre, post);
            const Matrix late_pre = random_rows(8, 24, 3 - head);
            const Matrix late_post = random_rows(8, 24, 103 - head);
            backward.add(late_pre, late_post);
        }
        const Gauge one = forward.solve();
        const Gauge other = backward.solve();
        EXPECT_LT(largest_difference(one.orthogonal, other.orthogonal), 1e-12);
        double after = 0.0;
        for (std::uint64_t head = 0; head < 4; ++head) {
            const Matrix pre = random_rows(8, 24, head);
            const Matrix post = random_rows(8, 24, head + 100);
            after += one.misfit(pre, post);
        }
        EXPECT_LT(after, before);
    }
}

TEST(Gauge, LeavesTheRoutingOfAHeadAlone) {
    const Matrix query = random_rows(8, 24, 1);
    const Matrix key = random_rows(8, 24, 2);
    GaugeFit fit(8, {});
    const Matrix target = random_rows(8, 24, 3);
    fit.add(query, target);
    const Gauge gauge = fit.solve();
    Matrix turned_query(8, 24);
    Matrix turned_key(8, 24);
    gauge.apply(query, turned_query);
    gauge.apply(key, turned_key);
    const Matrix before = linalg::product(linalg::transposed(query), key);
    const Matrix after = linalg::product(linalg::transposed(turned_query), turned_key);
    EXPECT_LT(largest_difference(before, after), 1e-13);
}

TEST(GaugeFit, RefusesNan) {
    for (const RotaryLayout& rotary : {RotaryLayout{}, RotaryLayout{Pairs::half_split, 8, 0}}) {
        Matrix pre = random_rows(8, 24, 1);
        const Matrix post = random_rows(8, 24, 2);
        pre(3, 3) = std::numeric_limits<double>::quiet_NaN();
        GaugeFit fit(8, rotary);
        fit.add(pre, post);
        try {
            static_cast<void>(fit.solve());
            FAIL() << "took a NaN";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        }
    }
}

}  // namespace
}  // namespace anamnesis::restore
