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
        moment.push_back(Matrix::from_view(stacked.view().row_block(first, size)));
    }
    return moment;
}

/// All rows of a tensor: where a side has a matrix for each head, equal blocks of rows.
Matrix solve(const Matrix& pre, const Matrix& post, Moment recall, Moment chains, double mu) {
    scale_moment(recall);
    scale_moment(chains);
    const std::size_t heads = std::max(recall.size(), chains.size());
    const std::size_t rows = pre.rows() / heads;
    Matrix result(pre.rows(), pre.columns());
    for (std::size_t head = 0; head < heads; ++head) {
        const FitFilter filter(recall[recall.size() == 1 ? 0 : head].view(),
                               chains[chains.size() == 1 ? 0 : head].view(),
                               mu);
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
    moment.push_back(linalg::gram(inputs.view()));
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
    for (double& value : chains.front().values()) {
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
    for (double& value : larger.front().values()) {
        value *= 1e6;
    }
    EXPECT_LE(
        distance(solve(pre, post, recall, chains, 0.3), solve(pre, post, larger, chains, 0.3)),
        1e-10);
}

TEST(Fit, RefusesMomentsThatSayNothing) {
    Moment empty;
    empty.emplace_back(4, 4);
    EXPECT_THROW(scale_moment(empty), Error);
    empty.front()(0, 0) = std::numeric_limits<double>::quiet_NaN();
    EXPECT_THROW(scale_moment(empty), Error);
    const Moment some = random_moment(4, 5, 1);
    EXPECT_THROW(FitFilter(some.front().view(), some.front().view(), -1.0), Error);
    EXPECT_THROW(FitFilter(some.front().view(), some.front().view(), std::nan("")), Error);
}

}  // namespace
}  // namespace anamnesis::restore
