// SPDX-License-Identifier: Apache-2.0
#include "linear.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "cpu_kernels.hpp"
#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;

Linear random_linear(std::int64_t outputs, std::int64_t inputs, at::ScalarType type, bool biased) {
    return {.weight = at::randn({outputs, inputs}).to(type),
            .bias = biased ? at::randn({outputs}) : at::Tensor()};
}

/// In float64.
at::Tensor naive(const Linear& linear, const at::Tensor& x) {
    const at::Tensor y =
        at::matmul(x.to(at::kDouble), linear.weight.to(at::kDouble).transpose(0, 1));
    return linear.bias.defined() ? y + linear.bias : y;
}

TEST(Linear, SeveralMatricesAtOnceGiveWhatEachGivesAlone) {
    const at::NoGradGuard no_gradients;
    for (const std::int64_t inputs : {1, 31, 64, 200, 1024}) {
        // Heights that four streams and two threads divide, and others.
        const Linear first = random_linear(512, inputs, at::kBFloat16, false);
        const Linear second = random_linear(37, inputs, at::kFloat, true);
        const Linear third = random_linear(3, inputs, at::kBFloat16, true);
        for (const std::int64_t tokens : {1, 2, 3, 8, 16}) {
            const at::Tensor x = at::randn({1, tokens, inputs});
            const at::Tensor met = cpu::has_bf16_products() ? x.to(at::kBFloat16) : x;
            const auto [a, b, none, c] = apply_each(x, first, second, Linear{}, third);
            EXPECT_TRUE(is_near(a, naive(first, met), 1e-5)) << inputs << " " << tokens;
            EXPECT_TRUE(is_near(b, naive(second, x), 1e-5)) << inputs << " " << tokens;
            EXPECT_TRUE(is_near(c, naive(third, met), 1e-5)) << inputs << " " << tokens;
            EXPECT_FALSE(none.defined());
        }
    }
}

TEST(Linear, ATokenHasTheSameBitsInAnyCompany) {
    const at::NoGradGuard no_gradients;
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const Linear linear = random_linear(130, 200, type, true);
        const at::Tensor x = at::randn({16, 200});
        for (const std::int64_t tokens : {2, 7, 15, 16}) {
            const at::Tensor together = apply(linear, x.narrow(0, 0, tokens));
            for (std::int64_t t = 0; t < tokens; ++t) {
                EXPECT_TRUE(apply(linear, x.narrow(0, t, 1)).equal(together.narrow(0, t, 1)))
                    << tokens << " " << t;
            }
        }
    }
}

TEST(Linear, AStretchOfOutputsIsThatOfAll) {
    if (!cpu::has_bf16_products()) {
        GTEST_SKIP() << "the processor does not multiply bfloat16";
    }
    constexpr std::size_t outputs = 37;
    for (const std::size_t inputs : {5UL, 32UL, 100UL}) {
        for (std::size_t rows = 1; rows <= cpu::most_few_rows; ++rows) {
            const auto size = [](std::size_t count) { return static_cast<std::int64_t>(count); };
            const at::Tensor weight = at::randn({size(outputs), size(inputs)}).to(at::kBFloat16);
            const at::Tensor x = at::randn({size(rows), size(inputs)}).to(at::kBFloat16);
            std::vector<float> y(rows * outputs, -1.0F);
            const cpu::FewRows few{
                .rows = rows, .inputs = inputs, .outputs = outputs, .y = y.data()};
            const auto multiply = [&](std::size_t begin, std::size_t end) {
                cpu::product(static_cast<const cpu::Bf16*>(weight.const_data_ptr()),
                             static_cast<const cpu::Bf16*>(x.const_data_ptr()),
                             few,
                             begin,
                             end);
            };
            multiply(3, 14);
            EXPECT_EQ(y[2], -1.0F);
            EXPECT_EQ(y[14], -1.0F);
            multiply(0, 3);
            multiply(14, outputs);
            const at::Tensor got = at::from_blob(y.data(), {size(rows), size(outputs)});
            EXPECT_TRUE(is_near(got, naive({.weight = weight}, x), 1e-5)) << inputs << " " << rows;
        }
    }
}

TEST(Linear, ManyTokensMeetEveryTypeOfWeights) {
    const at::NoGradGuard no_gradients;
    const at::Tensor x = at::randn({2, 40, 96});
    for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
        const Linear linear = random_linear(50, 96, type, true);
        const double tolerance = multiplies_in_bf16(linear, x, false) ? 8e-3 : 1e-6;
        EXPECT_TRUE(is_near(apply(linear, x), naive(linear, x), tolerance));
    }
}

TEST(Linear, RowsAndWeightsMayLieAnyhow) {
    const at::NoGradGuard no_gradients;
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        const Linear turned{.weight = at::randn({96, 50}).to(type).t()};
        const Linear plain{.weight = turned.weight.contiguous()};
        for (const std::int64_t tokens : {1, 5, 40}) {
            const at::Tensor x = at::randn({96, tokens}).t();
            EXPECT_TRUE(is_near(apply(turned, x), naive(plain, x), 8e-3)) << tokens;
            EXPECT_TRUE(apply(plain, x).equal(apply(plain, x.contiguous()))) << tokens;
        }
    }
}

TEST(Linear, GradientsReachWeightBiasAndInput) {
    const Linear linear{.weight = at::randn({5, 4}).requires_grad_(true),
                        .bias = at::randn({5}).requires_grad_(true)};
    const at::Tensor x = at::randn({1, 1, 4}).requires_grad_(true);
    apply(linear, x).sum().backward();
    EXPECT_TRUE(is_near(linear.bias.grad(), at::ones({5}), 1e-6));
    EXPECT_TRUE(is_near(x.grad().view({4}), linear.weight.sum(0), 1e-6));
    EXPECT_TRUE(is_near(linear.weight.grad(), x.view({1, 4}).expand({5, 4}), 1e-6));
}

}  // namespace
}  // namespace anamnesis::runtime
