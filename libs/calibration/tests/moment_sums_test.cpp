// SPDX-License-Identifier: Apache-2.0
#include "moment_sums.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/runtime/second_moment.hpp"

namespace anamnesis::calibration {
namespace {

TEST(MomentSums, AreWeighedOuterProductsAndFollowABiasBy1) {
    const at::Tensor x = at::randn({5, 3}).to(at::kDouble);
    const at::Tensor weights = at::rand({5, 2}).to(at::kDouble);
    const restore::MomentKey key{.part = "v", .layer = LayerIndex(1)};
    MomentSums sums;
    sums.add(key, x.narrow(0, 0, 2), weights.narrow(0, 0, 2), {.matrices = 2, .has_bias = true});
    sums.add(key, x.narrow(0, 2, 3), weights.narrow(0, 2, 3), {.matrices = 2, .has_bias = true});
    EXPECT_THROW(static_cast<void>(sums.at(key)), Error);
    sums.complete();
    const at::Tensor sum = sums.at(key);
    ASSERT_EQ(sum.sizes(), (at::IntArrayRef{2, 4, 4}));
    for (std::int64_t head = 0; head < 2; ++head) {
        for (std::int64_t i = 0; i < 4; ++i) {
            for (std::int64_t j = 0; j < 4; ++j) {
                double expected = 0.0;
                for (std::int64_t t = 0; t < 5; ++t) {
                    const double xi = i < 3 ? x[t][i].item<double>() : 1.0;
                    const double xj = j < 3 ? x[t][j].item<double>() : 1.0;
                    expected += weights[t][head].item<double>() * xi * xj;
                }
                EXPECT_NEAR(sum[head][i][j].item<double>(), expected, 1e-12);
            }
        }
    }
}

TEST(MomentSums, WideOnesAreWholeAndSymmetricOnceTheyAreComplete) {
    const at::Tensor x = at::randn({7, 1100}).to(at::kDouble);
    const at::Tensor weights = at::rand({7, 2}).to(at::kDouble);
    const restore::MomentKey key{.part = "k_attention", .layer = LayerIndex(1)};
    MomentSums sums;
    sums.add(key, x.narrow(0, 0, 4), weights.narrow(0, 0, 4), {.matrices = 2});
    sums.complete();
    sums.add(key, x.narrow(0, 4, 3), weights.narrow(0, 4, 3), {.matrices = 2});
    sums.complete();
    for (std::int64_t head = 0; head < 2; ++head) {
        const at::Tensor sum = sums.at(key).select(0, head);
        const at::Tensor expected = at::matmul((x * weights.narrow(1, head, 1)).t(), x);
        EXPECT_LT((sum - expected).abs().max().item<double>(), 1e-12);
        const at::Tensor above = sum.slice(0, 0, 512).slice(1, 512);
        EXPECT_TRUE(above.equal(sum.slice(0, 512).slice(1, 0, 512).t()));
    }
}

TEST(MomentSums, OfRoundedInputsAreThoseOfTheRootsOfTheWeights) {
    if (!runtime::has_bf16_products()) {
        GTEST_SKIP() << "the processor does not multiply bfloat16";
    }
    const at::Tensor x = at::randn({40, 130});
    const at::Tensor weights = at::rand({40, 2}).to(at::kDouble);
    weights[7].zero_();
    const restore::MomentKey key{.part = "k_attention", .layer = LayerIndex(1)};
    MomentSums sums;
    sums.add(key, x, weights, {.matrices = 2, .has_bias = true, .is_rounded = true});
    sums.complete();
    const at::Tensor augmented = at::cat({x, at::ones({40, 1})}, 1);
    for (std::int64_t head = 0; head < 2; ++head) {
        const at::Tensor sum = sums.at(key).select(0, head);
        const at::Tensor weighed = augmented * weights.narrow(1, head, 1).sqrt().to(at::kFloat);
        const at::Tensor exact = weighed.to(at::kBFloat16).to(at::kDouble);
        EXPECT_LT((sum - at::matmul(exact.t(), exact)).abs().max().item<double>(), 1e-4);
        EXPECT_TRUE(sum.equal(sum.t()));
    }
}

TEST(MomentSums, OfLongTextsAreThoseOfTheirPieces) {
    const at::Tensor x = at::randn({4200, 9}).to(at::kBFloat16).to(at::kFloat);
    const at::Tensor weights = at::rand({4200, 1}).to(at::kDouble);
    const restore::MomentKey key{.part = "v", .layer = LayerIndex(1)};
    for (const bool is_rounded : {false, true}) {
        MomentSums whole;
        whole.add(key, x, weights, {.is_rounded = is_rounded});
        whole.complete();
        MomentSums pieces;
        for (std::int64_t first = 0; first < 4200; first += 600) {
            pieces.add(key,
                       x.narrow(0, first, 600),
                       weights.narrow(0, first, 600),
                       {.is_rounded = is_rounded});
        }
        pieces.complete();
        EXPECT_LT((whole.at(key) - pieces.at(key)).abs().max().item<double>(), 1e-2);
        EXPECT_GT(whole.at(key).select(0, 0).diagonal().min().item<double>(), 1000.0);
    }
}

// The largest of a few columns would lose more in float32 than all that the others hold.
TEST(MomentSums, OfRoundedInputsAreExactWhereAColumnIsLarge) {
    if (!runtime::has_bf16_products()) {
        GTEST_SKIP() << "the processor does not multiply bfloat16";
    }
    at::Tensor x = at::randn({700, 200});
    x.select(1, 3).mul_(1e4);
    x.select(1, 150).mul_(2e4);
    x = x.to(at::kBFloat16).to(at::kFloat);
    const restore::MomentKey key{.part = "q", .layer = LayerIndex(1)};
    MomentSums sums;
    sums.add(key, x, {}, {.is_rounded = true});
    sums.complete();
    const at::Tensor exact = x.to(at::kDouble);
    const at::Tensor difference = (sums.at(key).select(0, 0) - at::matmul(exact.t(), exact)).abs();
    EXPECT_LT(difference.select(0, 3).max().item<double>(), 1e-3);  // of 1e11 where they meet
    EXPECT_LT(difference.select(0, 150).max().item<double>(), 1e-3);
    EXPECT_LT(difference.select(1, 150).max().item<double>(), 1e-3);
    EXPECT_LT(difference.max().item<double>(), 1e-2);
}

}  // namespace
}  // namespace anamnesis::calibration
