// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/fit_report.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "golden_files.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::restore {
namespace {

using linalg::Matrix;

constexpr std::size_t inputs = 6;
constexpr std::size_t outputs = 5;

std::string to_bytes(const Matrix& matrix) {
    std::string bytes(matrix.values().size_bytes(), '\0');
    std::memcpy(bytes.data(), matrix.values().data(), bytes.size());
    return bytes;
}

/// Inputs as columns, and their moment.
struct Inputs {
    Matrix x;

    explicit Inputs(std::size_t count, std::uint64_t seed) : x(random_rows(inputs, count, seed)) {}
    Moment moment() const {
        Moment made{.counts = {x.columns()}};
        made.matrices.push_back(linalg::gram(x.view()));
        return made;
    }
};

/// |(a - b) x| / |c x|, by the definition.
double measure(const Matrix& a, const Matrix& b, const Matrix& c, const Inputs& on) {
    const Matrix between = linalg::difference(a.view(), b.view());
    const Matrix above = linalg::product(between, on.x);
    const Matrix below = linalg::product(c, on.x);
    return linalg::frobenius_norm(above.view()) / linalg::frobenius_norm(below.view());
}

class FitReport : public ::testing::Test {
protected:
    FitReport() {
        for (const auto& [name, rows] : {std::pair("pre", &pre_), std::pair("post", &post_)}) {
            folder_.write(std::string(name) + ".safetensors",
                          testing::make_safetensors({{.name = "w",
                                                      .dtype = "F64",
                                                      .shape = {outputs, inputs},
                                                      .bytes = to_bytes(*rows)}}));
        }
        of_pre_ = checkpoint::Checkpoint::open(folder_.path() / "pre.safetensors");
        of_post_ = checkpoint::Checkpoint::open(folder_.path() / "post.safetensors");
        group_.part = "q";
        group_.layer = LayerIndex(2);
        group_.rows.push_back(
            {.head = 0,
             .weight = {.post = &of_post_.at("w"), .pre = &of_pre_.at("w"), .rows = outputs}});
    }

    void set(CalibrationSide side, const Inputs& seen, const Inputs* held_back) {
        MomentKey key{.part = "q", .side = side, .layer = LayerIndex(2)};
        Moment all = seen.moment();
        if (held_back != nullptr) {
            const Moment apart = held_back->moment();
            for (std::size_t i = 0; i < all.matrices.front().values().size(); ++i) {
                all.matrices.front().values()[i] += apart.matrices.front().values()[i];
            }
            all.counts.front() += apart.counts.front();
            key.is_held_back = true;
            moments_.set(key, apart);
            key.is_held_back = false;
        }
        moments_.set(key, std::move(all));
    }

    /// The fit to seen inputs alone, solved here.
    Matrix fit_to_seen(double mu) const {
        Moment recall = recall_.moment();
        Moment chains = chains_.moment();
        scale_moment(recall);
        scale_moment(chains);
        return FitFilter(recall.matrices.front().view(), chains.matrices.front().view(), {.mu = mu})
            .apply(pre_.view(), post_.view());
    }

    static double at(const Json& json, const char* side, const char* what) {
        return json.at(side).at(what).as_double(what);
    }

    const Matrix pre_ = random_rows(outputs, inputs, 1);
    const Matrix post_ = random_rows(outputs, inputs, 2);
    const Inputs recall_{4, 3};
    const Inputs recall_held_back_{3, 4};
    const Inputs chains_{30, 5};
    const Inputs chains_held_back_{9, 6};
    testing::TemporaryFolder folder_;
    checkpoint::Checkpoint of_pre_;
    checkpoint::Checkpoint of_post_;
    FitGroup group_;
    MomentSet moments_;
};

TEST_F(FitReport, DistancesAreThoseOfOutputsOnEveryInput) {
    set(CalibrationSide::recall, recall_, &recall_held_back_);
    set(CalibrationSide::chains, chains_, &chains_held_back_);
    const double mu = 0.4;
    const Matrix fitted = fit_to_seen(mu);
    const Json report = describe_fit(group_, moments_, {.mu = mu});
    EXPECT_EQ(report.at("layer").as_unsigned("layer"), 2U);
    EXPECT_EQ(report.at("inputs").as_unsigned("inputs"), inputs);
    EXPECT_EQ(report.at("tokens").at("recall").as_unsigned("recall"), 7U);
    EXPECT_EQ(report.at("tokens").at("chains").as_unsigned("chains"), 39U);
    EXPECT_NEAR(at(report, "recall", "seen"), measure(fitted, pre_, pre_, recall_), 1e-9);
    EXPECT_NEAR(
        at(report, "recall", "held_back"), measure(fitted, pre_, pre_, recall_held_back_), 1e-9);
    EXPECT_NEAR(at(report, "recall", "post"), measure(post_, pre_, pre_, recall_held_back_), 1e-9);
    EXPECT_NEAR(at(report, "chains", "seen"), measure(fitted, post_, post_, chains_), 1e-9);
    EXPECT_NEAR(
        at(report, "chains", "held_back"), measure(fitted, post_, post_, chains_held_back_), 1e-9);
    EXPECT_NEAR(at(report, "chains", "pre"), measure(pre_, post_, post_, chains_held_back_), 1e-9);
    // Four inputs in six dimensions are met, others are not.
    EXPECT_LT(at(report, "recall", "seen"), at(report, "recall", "held_back"));
    EXPECT_EQ(report.at("rank").as_unsigned("rank"), inputs);
    EXPECT_GT(report.at("condition").as_double("condition"), 1.0);
}

TEST_F(FitReport, APartHeldBackThatIsNoPartIsRefused) {
    set(CalibrationSide::recall, recall_, &recall_held_back_);
    set(CalibrationSide::chains, chains_, &chains_held_back_);
    const MomentKey key{.part = "q", .side = CalibrationSide::recall, .layer = LayerIndex(2)};
    Moment whole = recall_.moment();
    whole.target = Matrix(outputs, inputs);
    moments_.set(key, std::move(whole));
    EXPECT_THROW(static_cast<void>(describe_fit(group_, moments_, {.mu = 0.4})), Error);
}

TEST_F(FitReport, AtTheLimitsAFitIsPreOrPost) {
    set(CalibrationSide::recall, recall_, &recall_held_back_);
    set(CalibrationSide::chains, chains_, &chains_held_back_);
    const Json zero = describe_fit(group_, moments_, {.mu = 0.0});
    EXPECT_EQ(at(zero, "recall", "held_back"), 0.0);
    EXPECT_DOUBLE_EQ(at(zero, "chains", "held_back"), at(zero, "chains", "pre"));
    const Json infinite =
        describe_fit(group_, moments_, {.mu = std::numeric_limits<double>::infinity()});
    EXPECT_DOUBLE_EQ(at(infinite, "recall", "held_back"), at(infinite, "recall", "post"));
    EXPECT_EQ(at(infinite, "chains", "held_back"), 0.0);
}

TEST_F(FitReport, WithoutTextsHeldBackItMeasuresTheFitItselfAndTellsTheRank) {
    const Inputs few(2, 7);
    set(CalibrationSide::recall, few, nullptr);
    set(CalibrationSide::chains, few, nullptr);
    const Json report = describe_fit(group_, moments_, {.mu = 0.4});
    EXPECT_EQ(report.at("rank").as_unsigned("rank"), 2U);
    // The ridge is 1e-4 of the mean eigenvalue.
    EXPECT_GT(report.at("condition").as_double("condition"), 1e3);
    EXPECT_TRUE(report.at("recall").at("held_back").is_null());
    EXPECT_TRUE(report.at("chains").at("held_back").is_null());
    // The same inputs on both sides: lerp with 1 / (1 + mu).
    EXPECT_NEAR(at(report, "recall", "seen") / at(report, "recall", "post"), 0.4 / 1.4, 1e-3);
}

}  // namespace
}  // namespace anamnesis::restore
