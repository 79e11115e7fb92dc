// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/qk_pro.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/request.hpp"

#include "golden_files.hpp"

namespace anamnesis::restore {
namespace {

using checkpoint::RotaryLayout;
using linalg::Matrix;
using linalg::MatrixView;

constexpr double infinity = std::numeric_limits<double>::infinity();

Matrix filtered(const ProFilter& filter, double lambda, const Matrix& pre, const Matrix& post) {
    Matrix result(pre.rows(), pre.columns());
    filter.apply(std::array{lambda}, pre, post, std::array{result.view()});
    return result;
}

double routing_error(const Matrix& query, const Matrix& pre, const Matrix& key) {
    const Matrix apart = linalg::difference(query, pre);
    const Matrix wrong = linalg::product(linalg::transposed(apart), key);
    return linalg::frobenius_norm(wrong);
}

/// Key rows of a rank below their number: the last row is a sum of the others.
Matrix deficient_rows(std::size_t rows, std::size_t columns, std::uint64_t seed) {
    Matrix result = random_rows(rows, columns, seed);
    for (std::size_t j = 0; j < columns; ++j) {
        result(rows - 1, j) = 0.0;
        for (std::size_t i = 0; i + 1 < rows; ++i) {
            result(rows - 1, j) += result(i, j);
        }
    }
    return result;
}

void expect_error(ErrorKind kind, const std::string& fact, const auto& body) {
    try {
        body();
        FAIL() << "expected an error about " << fact;
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind);
        EXPECT_NE(error.message().find(fact), std::string::npos) << error.message();
    }
}

struct Head {
    Matrix key = random_rows(8, 40, 1);
    Matrix pre = random_rows(8, 40, 2);
    Matrix post = random_rows(8, 40, 3);
};

TEST(ProFilter, LambdaZeroGivesPreBitForBitAtFullRank) {
    const Head head;
    const Matrix result = filtered(ProFilter(head.key, {}), 0.0, head.pre, head.post);
    EXPECT_TRUE(std::ranges::equal(result.values(), head.pre.values()));
}

TEST(ProFilter, ATinyLambdaGivesNearlyPre) {
    const Head head;
    const ProFilter filter(head.key, {});
    const Matrix result = filtered(filter, filter.absolute_lambda(1e-12), head.pre, head.post);
    EXPECT_LT(largest_difference(result, head.pre), 1e-9);
}

TEST(ProFilter, LambdaInfinityGivesPostBitForBit) {
    Head head;
    head.post(0, 0) = -0.0;
    const Matrix result = filtered(ProFilter(head.key, {}), infinity, head.pre, head.post);
    EXPECT_TRUE(std::ranges::equal(result.values(), head.post.values()));
    EXPECT_TRUE(std::signbit(result(0, 0)));
}

TEST(ProFilter, DistanceFromPostFallsAndRoutingErrorRisesWithLambda) {
    for (const ProMetric metric : {ProMetric::gram, ProMetric::rope, ProMetric::gain}) {
        const Head head;
        const std::vector<double> gains{0.5, 1.0, 2.0, 1.5, 0.1, 3.0, 1.0, 0.7};
        const ProFilter filter(head.key,
                               {.metric = metric,
                                .rotary = {RotaryLayout::Pairs::half_split, 8, 0},
                                .query_gain = gains,
                                .key_gain = gains});
        double last_distance = infinity;
        double last_error = -1.0;
        for (double relative = 1e-8; relative < 1e9; relative *= 10.0) {
            const Matrix result =
                filtered(filter, filter.absolute_lambda(relative), head.pre, head.post);
            const Matrix apart = linalg::difference(result, head.post);
            const double distance = linalg::frobenius_norm(apart);
            EXPECT_LT(distance, last_distance) << relative;
            last_distance = distance;
            // Only the paper's metric promises the second half.
            if (metric == ProMetric::gram) {
                const double error = routing_error(result, head.pre, head.key);
                EXPECT_GT(error, last_error) << relative;
                last_error = error;
            }
        }
    }
}

TEST(ProFilter, AgreesWithThePapersForm) {
    for (const double relative : {1e-4, 1e-2, 0.1, 1.0, 100.0}) {
        const Head head;
        const ProFilter filter(head.key, {});
        const double lambda = filter.absolute_lambda(relative);
        const Matrix fast = filtered(filter, lambda, head.pre, head.post);
        const Matrix slow = naive_qk_pro(lambda, head.key, head.pre, head.post);
        EXPECT_LT(largest_difference(fast, slow), 1e-9) << relative;
    }
}

TEST(ProFilter, AgreesWithThePapersFormWhereGainsEnterTheKeys) {
    const Head head;
    const std::vector<double> query_gain{0.5, 1.0, 2.0, 1.5, 0.1, 3.0, 1.0, 0.7};
    const std::vector<double> key_gain{1.0, 0.2, 1.1, 0.3, 2.0, -1.0, 1.0, 0.9};
    Matrix scaled = head.key;
    for (std::size_t i = 0; i < scaled.rows(); ++i) {
        for (double& value : scaled.view().row(i)) {
            value *= query_gain[i] * key_gain[i];
        }
    }
    const ProFilter filter(
        head.key, {.metric = ProMetric::gain, .query_gain = query_gain, .key_gain = key_gain});
    const Matrix fast = filtered(filter, 0.3, head.pre, head.post);
    const Matrix slow = naive_qk_pro(0.3, scaled, head.pre, head.post);
    EXPECT_LT(largest_difference(fast, slow), 1e-10);
}

/// A bias is one more input that is always 1: the filter of [W b] is not that of W.
TEST(ProFilter, BiasesAreOneMoreColumn) {
    const Matrix key = random_rows(6, 21, 1);
    const Matrix pre = random_rows(6, 21, 2);
    const Matrix post = random_rows(6, 21, 3);
    const ProFilter with_bias(key, {});
    const ProFilter without_bias(key.view().column_block(0, 20), {});
    const Matrix fast = filtered(with_bias, 0.2, pre, post);
    const Matrix slow = naive_qk_pro(0.2, key, pre, post);
    EXPECT_LT(largest_difference(fast, slow), 1e-10);
    EXPECT_GT(with_bias.absolute_lambda(1.0), without_bias.absolute_lambda(1.0));
}

TEST(ProFilter, OnePassOverManyLambdasIsManyPasses) {
    // More columns than one panel, and a stride.
    const Matrix wide = random_rows(16, 1400, 4);
    const MatrixView<const double> key = wide.view().column_block(3, 600);
    const Matrix pre = random_rows(16, 1300, 5);
    const Matrix post = random_rows(16, 1300, 6);
    const ProFilter filter(key, {});
    const std::vector<double> lambdas{0.0, 0.1, 3.0, infinity, 0.1};
    std::vector<Matrix> results(lambdas.size(), Matrix(16, 1400));
    std::vector<MatrixView<double>> outputs;
    outputs.reserve(results.size());
    for (Matrix& result : results) {
        outputs.push_back(result.view().column_block(50, 1300));
    }
    filter.apply(lambdas, pre, post, outputs);
    for (std::size_t i = 0; i < lambdas.size(); ++i) {
        const Matrix alone = filtered(filter, lambdas[i], pre, post);
        EXPECT_EQ(largest_difference(alone, outputs[i]), 0.0);
        EXPECT_EQ(results[i](3, 49), 0.0);
        EXPECT_EQ(results[i](3, 1350), 0.0);
    }
}

TEST(ProFilter, HeadsOfAGroupDoNotKnowEachOtherWhateverTheirOrder) {
    const Head head;
    const ProFilter filter(head.key, {});
    const Matrix other = random_rows(8, 40, 9);
    const Matrix first = filtered(filter, 0.5, head.pre, head.post);
    static_cast<void>(filtered(filter, 0.5, other, head.post));
    const Matrix again = filtered(ProFilter(head.key, {}), 0.5, head.pre, head.post);
    EXPECT_EQ(largest_difference(first, again), 0.0);
}

TEST(ProFilter, TheOrderOfRowsInsideTheHeadsDoesNotMatter) {
    const Head head;
    const auto reversed = [](const Matrix& rows) {
        Matrix result(rows.rows(), rows.columns());
        for (std::size_t i = 0; i < rows.rows(); ++i) {
            linalg::copy(rows.view().row_block(i, 1),
                         result.view().row_block(rows.rows() - 1 - i, 1));
        }
        return result;
    };
    const Matrix straight = filtered(ProFilter(head.key, {}), 0.5, head.pre, head.post);
    const Matrix turned_key = reversed(head.key);
    const ProFilter filter(turned_key, {});
    const Matrix turned = filtered(filter, 0.5, reversed(head.pre), reversed(head.post));
    const Matrix back = reversed(turned);
    EXPECT_LT(largest_difference(straight, back), 1e-13);
}

TEST(ProFilter, KeepsPostOnTheNullSpaceOfTheKeys) {
    const Matrix key = deficient_rows(8, 40, 1);
    const Matrix pre = random_rows(8, 40, 2);
    const Matrix post = random_rows(8, 40, 3);
    const ProFilter filter(key, {});
    EXPECT_EQ(std::ranges::count(filter.eigenvalues(), 0.0), 1);
    const Matrix result = filtered(filter, 0.0, pre, post);
    // The null vector is (1, …, 1, -1): no key row has a part along it.
    for (std::size_t j = 0; j < 40; ++j) {
        double along_result = -result(7, j);
        double along_post = -post(7, j);
        for (std::size_t i = 0; i < 7; ++i) {
            along_result += result(i, j);
            along_post += post(i, j);
        }
        EXPECT_NEAR(along_result, along_post, 1e-13);
    }
    EXPECT_LT(routing_error(result, pre, key), 1e-12);
    EXPECT_GT(largest_difference(result, pre), 0.01);
}

TEST(ProFilter, KeysOfZeroLeavePost) {
    const Head head;
    const Matrix nothing(8, 40);
    const ProFilter filter(nothing, {});
    EXPECT_EQ(filter.absolute_lambda(1.0), 0.0);
    const Matrix result = filtered(filter, filter.absolute_lambda(1.0), head.pre, head.post);
    EXPECT_TRUE(std::ranges::equal(result.values(), head.post.values()));
}

/// The filter of the metric averaged by brute force over a grid of angles. Four angles for each
/// pair average every polynomial of degree two exactly, as all angles would.
TEST(ProFilter, RopeIsTheAverageOverRotationsAlsoWherePartOfTheHeadIsNotRotated) {
    using Pairs = RotaryLayout::Pairs;
    for (const RotaryLayout& rotary : {RotaryLayout{Pairs::half_split, 4, 0},
                                       RotaryLayout{Pairs::interleaved, 4, 0},
                                       RotaryLayout{Pairs::half_split, 4, 3},
                                       RotaryLayout{Pairs::interleaved, 4, 3}}) {
        const Matrix key = random_rows(7, 30, 1);
        const Matrix pre = random_rows(7, 30, 2);
        const Matrix post = random_rows(7, 30, 3);
        const std::size_t o = rotary.offset;
        const std::array<std::array<std::size_t, 2>, 2> pairs =
            rotary.pairs == Pairs::half_split
                ? std::array<std::array<std::size_t, 2>, 2>{{{o, o + 2}, {o + 1, o + 3}}}
                : std::array<std::array<std::size_t, 2>, 2>{{{o, o + 1}, {o + 2, o + 3}}};
        // Quarter turns of both pairs, side by side: their Gram matrix is the average's.
        Matrix turned(7, std::size_t{30} * 16);
        for (std::size_t turn = 0; turn < 16; ++turn) {
            Matrix rows = key;
            for (std::size_t p = 0; p < 2; ++p) {
                const std::size_t quarters = p == 0 ? turn % 4 : turn / 4;
                const auto [a, b] = pairs[p];
                for (std::size_t q = 0; q < quarters; ++q) {
                    for (std::size_t j = 0; j < 30; ++j) {
                        const double old = rows(a, j);
                        rows(a, j) = -rows(b, j);
                        rows(b, j) = old;
                    }
                }
            }
            for (double& value : rows.values()) {
                value *= 0.25;
            }
            linalg::copy(rows, turned.view().column_block(turn * 30, 30));
        }
        const ProFilter rope(key, {.metric = ProMetric::rope, .rotary = rotary});
        const ProFilter averaged(turned, {});
        EXPECT_NEAR(rope.absolute_lambda(1.0), averaged.absolute_lambda(1.0), 1e-12);
        const Matrix fast = filtered(rope, 0.4, pre, post);
        const Matrix slow = filtered(averaged, 0.4, pre, post);
        EXPECT_LT(largest_difference(fast, slow), 1e-12);
    }
}

TEST(ProFilter, RopeCommutesWithRotationsToTheLastBit) {
    const Matrix key = random_rows(6, 30, 1);
    const Matrix pre = Matrix::identity(6);
    const Matrix post(6, 6);
    const ProFilter filter(
        key, {.metric = ProMetric::rope, .rotary = {RotaryLayout::Pairs::half_split, 4, 0}});
    // Filtering the identity onto zero gives the filter itself.
    const Matrix F = filtered(filter, 0.7, pre, post);
    EXPECT_EQ(F(0, 0), F(2, 2));
    EXPECT_EQ(F(1, 1), F(3, 3));
    EXPECT_NE(F(0, 0), F(1, 1));
    EXPECT_NE(F(4, 5), 0.0);
    for (std::size_t i = 0; i < 4; ++i) {
        for (std::size_t j = 0; j < 6; ++j) {
            EXPECT_TRUE(i == j || (F(i, j) == 0.0 && F(j, i) == 0.0));
        }
    }
}

TEST(ProFilter, RefusesKeysThatAreNotFinite) {
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity}) {
        Matrix key = random_rows(8, 40, 1);
        key(7, 39) = bad;
        expect_error(ErrorKind::unsupported, "NaN or an infinity", [&] { ProFilter(key, {}); });
    }
}

TEST(ProFilter, ANanInAQueryColumnStaysInItsColumn) {
    Head head;
    head.pre(2, 5) = std::numeric_limits<double>::quiet_NaN();
    const Matrix result = filtered(ProFilter(head.key, {}), 0.1, head.pre, head.post);
    for (std::size_t j = 0; j < 40; ++j) {
        EXPECT_EQ(std::isnan(result(0, j)), j == 5);
    }
}

TEST(ProFilter, RefusesWhatIsNoLambdaNoGainAndNoRotary) {
    const Head head;
    const ProFilter filter(head.key, {});
    expect_error(ErrorKind::usage, "-1", [&] { filtered(filter, -1.0, head.pre, head.post); });
    expect_error(ErrorKind::usage, "nan", [&] {
        filtered(filter, std::numeric_limits<double>::quiet_NaN(), head.pre, head.post);
    });
    const std::vector<double> gains(7, 1.0);
    expect_error(ErrorKind::unsupported, "found 7 for queries and 0 for keys, expected 8", [&] {
        ProFilter(head.key, {.metric = ProMetric::gain, .query_gain = gains});
    });
    for (const std::uint32_t dimensions : {3U, 10U}) {
        expect_error(ErrorKind::unsupported, std::to_string(dimensions) + " from row 0", [&] {
            ProFilter(head.key,
                      {.metric = ProMetric::rope,
                       .rotary = {RotaryLayout::Pairs::half_split, dimensions, 0}});
        });
    }
}

TEST(ProFilter, ServesThreadsAtOnce) {
    const Head head;
    const ProFilter filter(head.key, {});
    const Matrix expected = filtered(filter, 0.1, head.pre, head.post);
    std::array<Matrix, 4> results;
    {
        std::vector<std::jthread> threads;
        threads.reserve(results.size());
        for (Matrix& result : results) {
            threads.emplace_back([&] { result = filtered(filter, 0.1, head.pre, head.post); });
        }
    }
    for (const Matrix& result : results) {
        EXPECT_EQ(largest_difference(result, expected), 0.0);
    }
}

}  // namespace
}  // namespace anamnesis::restore
