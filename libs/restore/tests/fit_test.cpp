// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit.hpp"

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/moments.hpp"

#include "golden_files.hpp"

namespace anamnesis::restore {
namespace {

using linalg::Matrix;

const std::filesystem::path solve_goldens =
    std::filesystem::path(ANAMNESIS_TESTDATA) / "fit" / "solve";

Moment cut_moment(const Matrix& stacked) {
    Moment moment;
    const std::size_t size = stacked.columns();
    for (std::size_t first = 0; first < stacked.rows(); first += size) {
        moment.matrices.push_back(Matrix::from_view(stacked.view().row_block(first, size)));
    }
    return moment;
}

/// All rows of a tensor: where a side has a matrix for each head, equal blocks of rows.
Matrix solve(const Matrix& pre, const Matrix& post, Moment recall, Moment chains, double mu) {
    scale_moment(recall);
    scale_moment(chains);
    const std::size_t heads = std::max(recall.matrices.size(), chains.matrices.size());
    const std::size_t rows = pre.rows() / heads;
    Matrix result(pre.rows(), pre.columns());
    for (std::size_t head = 0; head < heads; ++head) {
        const FitFilter filter(recall.matrices[recall.matrices.size() == 1 ? 0 : head].view(),
                               chains.matrices[chains.matrices.size() == 1 ? 0 : head].view(),
                               {.mu = mu});
        const Matrix part = filter.apply(pre.view().row_block(head * rows, rows),
                                         post.view().row_block(head * rows, rows));
        linalg::copy(part.view(), result.view().row_block(head * rows, rows));
    }
    return result;
}

double distance(const Matrix& a, const Matrix& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.values().size(); ++i) {
        sum += (a.values()[i] - b.values()[i]) * (a.values()[i] - b.values()[i]);
    }
    return std::sqrt(sum);
}

Moment random_moment(std::size_t size, std::size_t samples, std::uint64_t seed) {
    const Matrix inputs = random_rows(size, samples, seed);
    Moment moment;
    moment.matrices.push_back(linalg::gram(inputs.view()));
    return moment;
}

TEST(Fit, MatchesTheGoldenSolutions) {
    const Json cases = golden::read_json_file(solve_goldens / "cases.json").at("cases");
    std::size_t compared = 0;
    std::size_t unequal = 0;
    for (const auto& [name, _] : cases.as_object("cases")) {
        const golden::Tensors file(solve_goldens / (name + ".safetensors"));
        const Matrix pre = file.values("W_pre");
        const Matrix post = file.values("W_post");
        const DType dtype = file.stored("W_post").dtype;
        for (const char* mu : {"0", "0.03", "0.3", "1", "3", "inf"}) {
            SCOPED_TRACE(name + ", mu " + mu);
            const double value =
                std::string(mu) == "inf" ? std::numeric_limits<double>::infinity() : std::stod(mu);
            const Matrix expected = file.values(std::string("float64.") + mu);
            const Matrix ours = solve(
                pre, post, cut_moment(file.values("S_R")), cut_moment(file.values("S_C")), value);
            EXPECT_LE(distance(ours, expected), 1e-10 * distance(pre, post));
            const golden::Stored rounded = file.stored(std::string("rounded.") + mu);
            std::vector<std::byte> bytes(rounded.bytes.size());
            narrow(dtype, ours.values(), bytes);
            const std::size_t width = element_bytes(dtype);
            for (std::size_t i = 0; i < bytes.size(); i += width) {
                ++compared;
                unequal += std::equal(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                                      bytes.begin() + static_cast<std::ptrdiff_t>(i + width),
                                      rounded.bytes.begin() + static_cast<std::ptrdiff_t>(i))
                               ? 0
                               : 1;
            }
        }
    }
    EXPECT_GT(compared, 10'000U);
    EXPECT_LE(unequal * 1000, compared);
}

TEST(Fit, ZeroIsPreAndInfinityIsPostBitForBit) {
    Matrix pre = random_rows(6, 8, 1);
    Matrix post = random_rows(6, 8, 2);
    pre(0, 0) = -0.0;
    post(1, 1) = -0.0;
    const Moment recall = random_moment(8, 3, 3);
    const Moment chains = random_moment(8, 20, 4);
    const Matrix at_zero = solve(pre, post, recall, chains, 0.0);
    const Matrix at_infinity =
        solve(pre, post, recall, chains, std::numeric_limits<double>::infinity());
    for (std::size_t i = 0; i < pre.values().size(); ++i) {
        EXPECT_EQ(at_zero.values()[i], pre.values()[i]);
        EXPECT_EQ(std::signbit(at_zero.values()[i]), std::signbit(pre.values()[i]));
        EXPECT_EQ(at_infinity.values()[i], post.values()[i]);
        EXPECT_EQ(std::signbit(at_infinity.values()[i]), std::signbit(post.values()[i]));
    }
}

TEST(Fit, EqualWeightsStayBitForBit) {
    Matrix post = random_rows(5, 8, 2);
    post(2, 2) = -0.0;
    const Matrix ours = solve(post, post, random_moment(8, 30, 3), random_moment(8, 20, 4), 0.3);
    for (std::size_t i = 0; i < post.values().size(); ++i) {
        EXPECT_EQ(ours.values()[i], post.values()[i]);
        EXPECT_EQ(std::signbit(ours.values()[i]), std::signbit(post.values()[i]));
    }
}

TEST(Fit, ProportionalMomentsGiveTheInterpolation) {
    const Matrix pre = random_rows(5, 8, 1);
    const Matrix post = random_rows(5, 8, 2);
    Moment chains = random_moment(8, 30, 3);
    const Moment recall = chains;
    for (double& value : chains.matrices.front().values()) {
        value *= 7.0;
    }
    for (const double mu : {0.03, 1.0, 3.0}) {
        const Matrix ours = solve(pre, post, recall, chains, mu);
        for (std::size_t i = 0; i < pre.values().size(); ++i) {
            EXPECT_NEAR(
                ours.values()[i], (pre.values()[i] + mu * post.values()[i]) / (1.0 + mu), 1e-12);
        }
    }
}

TEST(Fit, ScalesOfTheMomentsDoNotMatter) {
    const Matrix pre = random_rows(5, 8, 1);
    const Matrix post = random_rows(5, 8, 2);
    const Moment recall = random_moment(8, 4, 3);
    const Moment chains = random_moment(8, 30, 4);
    Moment larger = recall;
    for (double& value : larger.matrices.front().values()) {
        value *= 1e6;
    }
    EXPECT_LE(
        distance(solve(pre, post, recall, chains, 0.3), solve(pre, post, larger, chains, 0.3)),
        1e-10);
}

TEST(FitToATarget, OfPresOwnOutputsIsTheOrdinaryFit) {
    const Matrix pre = random_rows(5, 8, 1);
    const Matrix post = random_rows(5, 8, 2);
    Moment recall = random_moment(8, 5, 3);  // singular
    Moment chains = random_moment(8, 30, 4);
    scale_moment(recall);
    scale_moment(chains);
    const Matrix target = linalg::product(pre, recall.matrices.front());
    for (const bool scales_inputs : {false, true}) {
        for (const double mu : {0.0, 0.03, 1.0, 30.0}) {
            const FitFilter filter(recall.matrices.front().view(),
                                   chains.matrices.front().view(),
                                   {.mu = mu, .scales_inputs = scales_inputs});
            const Matrix ours = filter.apply_to_target(target.view(), pre.view(), post.view());
            EXPECT_LE(distance(ours, filter.apply(pre.view(), post.view())),
                      1e-9 * distance(pre, post))
                << mu;
        }
    }
    const FitFilter infinite(recall.matrices.front().view(),
                             chains.matrices.front().view(),
                             {.mu = std::numeric_limits<double>::infinity()});
    EXPECT_EQ(distance(infinite.apply_to_target(target.view(), pre.view(), post.view()), post),
              0.0);
}

// W of least |W X - Y|^2 + mu |(W - W_post) C|^2 + ridge: its gradient vanishes.
TEST(FitToATarget, IsTheLeastSquaresSolution) {
    const Matrix pre = random_rows(3, 6, 1);
    const Matrix post = random_rows(3, 6, 2);
    const Matrix outputs = random_rows(3, 20, 7);  // of pre's own path, whatever its matrix is
    const Matrix inputs = random_rows(6, 20, 8);
    Moment recall;
    recall.matrices.push_back(linalg::gram(inputs.view()));
    recall.target = linalg::product(outputs, linalg::transposed(inputs));
    Moment chains = random_moment(6, 30, 4);
    scale_moment(recall);
    scale_moment(chains);
    const double mu = 0.7;
    const Matrix& of_recall = recall.matrices.front();
    const Matrix& of_chains = chains.matrices.front();
    const Matrix ours = FitFilter(of_recall.view(), of_chains.view(), {.mu = mu})
                            .apply_to_target(recall.target.view(), pre.view(), post.view());
    const double eps = fit_ridge * (1.0 + mu);
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 6; ++j) {
            const double reference = (pre(i, j) + mu * post(i, j)) / (1.0 + mu);
            double gradient = eps * (ours(i, j) - reference) - recall.target(i, j);
            for (std::size_t k = 0; k < 6; ++k) {
                gradient +=
                    ours(i, k) * of_recall(k, j) + mu * (ours(i, k) - post(i, k)) * of_chains(k, j);
            }
            EXPECT_NEAR(gradient, 0.0, 1e-9);
        }
    }
}

/// Inputs times c, columns of the weights divided by it: the same outputs.
TEST(FitWithScaledInputs, TheUnitOfAnInputDoesNotMatter) {
    const std::vector<double> units{1.0, 1e3, 1.0, 1e-2, 1.0, 40.0};
    const auto solve_in_units = [&](bool scales_inputs, bool changes_units) {
        Matrix pre = random_rows(4, 6, 1);
        Matrix post = random_rows(4, 6, 2);
        Matrix of_recall = random_rows(6, 4, 3);
        Matrix of_chains = random_rows(6, 30, 4);
        for (std::size_t i = 0; i < 6 && changes_units; ++i) {
            for (double& value : of_recall.view().row(i)) {
                value *= units[i];
            }
            for (double& value : of_chains.view().row(i)) {
                value *= units[i];
            }
            for (std::size_t row = 0; row < 4; ++row) {
                pre(row, i) /= units[i];
                post(row, i) /= units[i];
            }
        }
        // One factor a side, whatever the units.
        const Matrix recall = linalg::gram(of_recall.view());
        const Matrix chains = linalg::gram(of_chains.view());
        Matrix fitted =
            FitFilter(recall.view(), chains.view(), {.mu = 0.3, .scales_inputs = scales_inputs})
                .apply(pre.view(), post.view());
        for (std::size_t i = 0; i < 6 && changes_units; ++i) {
            for (std::size_t row = 0; row < 4; ++row) {
                fitted(row, i) *= units[i];
            }
        }
        return fitted;
    };
    const Matrix plain = solve_in_units(true, false);
    EXPECT_LE(distance(solve_in_units(true, true), plain), 1e-8);
    // Without, the largest input has all of the ridge's attention.
    EXPECT_GT(distance(solve_in_units(false, true), solve_in_units(false, false)), 1e-3);
    EXPECT_LT(distance(plain, solve_in_units(false, false)), 1e-2);
}

std::vector<double> scaled_counts(std::vector<double> counts) {
    Moment moment{.diagonal = std::move(counts)};
    scale_moment(moment);
    return moment.diagonal;
}

TEST(FitOfTokens, RowsAreMixedAloneAndUnseenOnesStayPost) {
    const Matrix pre = random_rows(5, 4, 1);
    Matrix post = random_rows(5, 4, 2);
    post(4, 0) = -0.0;
    const std::vector<double> recall = scaled_counts({6, 2, 1, 0, 0});
    const std::vector<double> chains = scaled_counts({0, 4, 90, 7, 0});
    const double mu = 0.3;
    const Matrix ours = mix_token_rows(recall, chains, mu, pre.view(), post.view());
    for (std::size_t token = 0; token < 5; ++token) {
        for (std::size_t j = 0; j < 4; ++j) {
            const double part =
                (ours(token, j) - post(token, j)) / (pre(token, j) - post(token, j));
            if (token >= 3) {
                EXPECT_EQ(ours(token, j), post(token, j));
                EXPECT_EQ(std::signbit(ours(token, j)), std::signbit(post(token, j)));
            } else if (token == 0) {
                EXPECT_NEAR(part, 1.0, 1e-3);
            } else {
                EXPECT_NEAR(part, recall[token] / (recall[token] + mu * chains[token]), 1e-3);
            }
        }
    }
    // The general filter on the same inputs, whose ridge alone is in the numerator too.
    Matrix of_recall(5, 5);
    Matrix of_chains(5, 5);
    for (std::size_t i = 0; i < 5; ++i) {
        of_recall(i, i) = recall[i];
        of_chains(i, i) = chains[i];
    }
    const auto transposed = [](const Matrix& m) {
        Matrix t(m.columns(), m.rows());
        for (std::size_t i = 0; i < m.rows(); ++i) {
            for (std::size_t j = 0; j < m.columns(); ++j) {
                t(j, i) = m(i, j);
            }
        }
        return t;
    };
    const Matrix pre_columns = transposed(pre);
    const Matrix post_columns = transposed(post);
    const Matrix general = FitFilter(of_recall.view(), of_chains.view(), {.mu = mu})
                               .apply(pre_columns.view(), post_columns.view());
    const double eps = fit_ridge * (1.0 + mu);
    for (std::size_t i = 0; i < 5; ++i) {
        const double ridge = eps / (1.0 + mu) / (recall[i] + mu * chains[i] + eps);
        for (std::size_t j = 0; j < 4; ++j) {
            EXPECT_NEAR(general(j, i), ours(i, j) + ridge * (pre(i, j) - post(i, j)), 1e-12);
        }
    }
}

TEST(FitOfTokens, LimitsArePreAndPostAndFactorsOfCountsDoNotMatter) {
    const Matrix pre = random_rows(3, 4, 1);
    const Matrix post = random_rows(3, 4, 2);
    const std::vector<double> recall = scaled_counts({3, 1, 0});
    const std::vector<double> chains = scaled_counts({1, 0, 2});
    const auto mix = [&](double mu, const std::vector<double>& of_recall) {
        return mix_token_rows(of_recall, chains, mu, pre.view(), post.view());
    };
    EXPECT_EQ(distance(mix(0.0, recall), pre), 0.0);
    EXPECT_EQ(distance(mix(std::numeric_limits<double>::infinity(), recall), post), 0.0);
    EXPECT_EQ(distance(mix_token_rows(recall, chains, 0.3, post.view(), post.view()), post), 0.0);
    EXPECT_LE(distance(mix(0.3, recall), mix(0.3, scaled_counts({3e6, 1e6, 0}))), 1e-14);
}

TEST(Fit, InputsThatAreNeverThereLeavePost) {
    const Matrix pre = random_rows(3, 4, 1);
    const Matrix post = random_rows(3, 4, 2);
    const Matrix nothing(4, 4);
    const Matrix target(3, 4);
    for (const double mu : {0.0, 0.3}) {
        const FitFilter filter(nothing.view(), nothing.view(), {.mu = mu});
        const Matrix& expected = mu == 0.0 ? pre : post;
        const Matrix fitted = filter.apply(pre.view(), post.view());
        EXPECT_THAT(fitted.values(), ::testing::ElementsAreArray(expected.values()));
        const Matrix aimed = filter.apply_to_target(target.view(), pre.view(), post.view());
        EXPECT_THAT(aimed.values(), ::testing::ElementsAreArray(expected.values()));
    }
}

TEST(Fit, RefusesMomentsThatSayNothing) {
    Moment empty;
    empty.matrices.emplace_back(4, 4);
    EXPECT_THROW(scale_moment(empty), Error);
    empty.matrices.front()(0, 0) = std::numeric_limits<double>::quiet_NaN();
    EXPECT_THROW(scale_moment(empty), Error);
    const Moment some = random_moment(4, 5, 1);
    EXPECT_THROW(
        FitFilter(some.matrices.front().view(), some.matrices.front().view(), {.mu = -1.0}), Error);
    EXPECT_THROW(
        FitFilter(some.matrices.front().view(), some.matrices.front().view(), {.mu = std::nan("")}),
        Error);
}

}  // namespace
}  // namespace anamnesis::restore
