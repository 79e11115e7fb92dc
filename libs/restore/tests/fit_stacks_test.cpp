// SPDX-License-Identifier: Apache-2.0
#include "fit_stacks.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/index.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/linalg/norms.hpp"
#include "anamnesis/linalg/product.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/fit_report.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

#include "golden_files.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::restore {
namespace {

using linalg::Matrix;

constexpr std::size_t inputs = 6;
constexpr std::size_t heads = 9;
constexpr std::size_t head_rows = 250;

Moment make_moment(std::size_t matrices, std::uint64_t seed) {
    Moment made;
    for (std::size_t i = 0; i < matrices; ++i) {
        const Matrix x = random_rows(inputs, 20, seed + i);
        made.matrices.push_back(linalg::gram(x.view()));
        made.counts.push_back(20);
    }
    scale_moment(made);
    return made;
}

/// Heads whose rows do not fit into one product, in a pair of files.
class FitInStacks : public ::testing::Test {
protected:
    FitInStacks() {
        for (const auto& [name, rows] : {std::pair("pre", &pre_), std::pair("post", &post_)}) {
            std::string bytes(rows->values().size_bytes(), '\0');
            std::memcpy(bytes.data(), rows->values().data(), bytes.size());
            folder_.write(std::string(name) + ".safetensors",
                          testing::make_safetensors({{.name = "w",
                                                      .dtype = "F64",
                                                      .shape = {heads * head_rows, inputs},
                                                      .bytes = bytes}}));
        }
        of_pre_ = checkpoint::Checkpoint::open(folder_.path() / "pre.safetensors");
        of_post_ = checkpoint::Checkpoint::open(folder_.path() / "post.safetensors");
        group_.part = "k_attention";
        for (std::uint32_t head = 0; head < heads; ++head) {
            group_.rows.push_back({.head = head,
                                   .weight = {.post = &of_post_.at("w"),
                                              .pre = &of_pre_.at("w"),
                                              .post_row = head * head_rows,
                                              .pre_row = head * head_rows,
                                              .rows = head_rows}});
        }
    }

    /// Of one head, solved by itself.
    Matrix solve(const GroupMoments& moments, std::uint32_t head) const {
        const FitFilter filter(
            of_head(moments.recall, head).view(), of_head(moments.chains, head).view(), {.mu = mu});
        return filter.apply(pre_.view().row_block(head * head_rows, head_rows),
                            post_.view().row_block(head * head_rows, head_rows));
    }

    static constexpr double mu = 0.3;

    const Matrix pre_ = random_rows(heads * head_rows, inputs, 1);
    const Matrix post_ = random_rows(heads * head_rows, inputs, 2);
    testing::TemporaryFolder folder_;
    checkpoint::Checkpoint of_pre_;
    checkpoint::Checkpoint of_post_;
    FitGroup group_;
};

TEST_F(FitInStacks, EveryHeadIsFittedAsByItself) {
    for (const std::size_t matrices : {std::size_t{1}, heads}) {
        const GroupMoments moments{.recall = make_moment(matrices, 3),
                                   .chains = make_moment(matrices, 30)};
        std::uint32_t next = 0;
        compute_fit(group_, moments, {.mu = mu}, [&](const HeadBlock& block, const Matrix& rows) {
            EXPECT_EQ(block.head, next++);
            const Matrix alone = solve(moments, block.head);
            const Matrix left = linalg::difference(rows.view(), alone.view());
            EXPECT_LT(linalg::frobenius_norm(left.view()), 1e-10) << matrices;
        });
        EXPECT_EQ(next, heads);
    }
}

TEST_F(FitInStacks, AStepTakesItsRowsOfEveryHead) {
    const std::size_t step = 60;  // rows 0, 60, 120, 180 and 240 of 250
    const GroupMoments moments{.recall = make_moment(1, 3), .chains = make_moment(1, 30)};
    std::uint32_t next = 0;
    const auto take = [&](std::span<const HeadBlock> blocks, const Matrix& rows) {
        ASSERT_EQ(rows.rows(), 5 * blocks.size());
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            EXPECT_EQ(blocks[i].head, next++);
            const Matrix all = solve(moments, blocks[i].head);
            const Matrix left =
                linalg::difference(rows.view().row_block(5 * i, 5), all.view().every_row(step));
            EXPECT_LT(linalg::frobenius_norm(left.view()), 1e-10);
        }
        const Matrix of_pre = load_stack(Side::pre, blocks, /*is_augmented=*/false, step);
        EXPECT_EQ(of_pre(5, 0), pre_((blocks.front().head + 1) * head_rows, 0));
    };
    compute_fit_in_stacks(group_, moments, {.mu = mu}, take, step);
    EXPECT_EQ(next, heads);
}

TEST_F(FitInStacks, TheReportMeasuresSomeRowsOfEveryHead) {
    const std::size_t step = 9;  // 2,250 rows, of which at most 256 are looked at
    MomentSet set;
    group_.layer = LayerIndex(3);
    GroupMoments moments;
    for (const CalibrationSide side : {CalibrationSide::recall, CalibrationSide::chains}) {
        const bool is_recall = side == CalibrationSide::recall;
        Moment& moment = is_recall ? moments.recall : moments.chains;
        moment = make_moment(heads, is_recall ? 3 : 30);
        set.set({.part = group_.part, .side = side, .layer = group_.layer}, moment);
    }
    double of_fit = 0.0;
    double of_all = 0.0;
    for (std::uint32_t head = 0; head < heads; ++head) {
        const auto pre = pre_.view().row_block(head * head_rows, head_rows).every_row(step);
        const Matrix fitted = solve(moments, head);
        const Matrix& moment = of_head(moments.recall, head);
        const auto measure = [&](const Matrix& rows) {
            const Matrix product = linalg::product(rows, moment);
            return linalg::dot(product.view(), rows.view());
        };
        of_fit += measure(linalg::difference(fitted.view().every_row(step), pre));
        of_all += measure(Matrix::from_view(pre));
    }
    const Json report = describe_fit(group_, set, {.mu = mu});
    EXPECT_NEAR(report.at("recall").at("seen").as_double("seen"), std::sqrt(of_fit / of_all), 1e-9);
    EXPECT_EQ(report.at("rank").as_unsigned("rank"), inputs);
}

}  // namespace
}  // namespace anamnesis::restore
