// SPDX-License-Identifier: Apache-2.0
#include "moment_sums.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <cstdint>

#include <ATen/ops/matmul.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/index.hpp"
#include "anamnesis/restore/moments.hpp"

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

}  // namespace
}  // namespace anamnesis::calibration
