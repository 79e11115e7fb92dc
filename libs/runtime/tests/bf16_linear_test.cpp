// SPDX-License-Identifier: Apache-2.0
#include "bf16_linear.hpp"

#include <cstdint>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;

struct Shape {
    std::int64_t rows, inputs, outputs;
};

/// Whole panels and strips and what is left over; inputs in one block, in two and in several; rows
/// in one block and in several.
constexpr Shape shapes[] = {{17, 64, 64},
                            {18, 32, 16},
                            {23, 2, 1},
                            {64, 100, 37},
                            {65, 1024, 130},
                            {600, 66, 70},
                            {253, 1538, 65},
                            {20, 4608, 81},
                            {1, 3074, 192}};

class PanelProduct : public ::testing::TestWithParam<Shape> {
protected:
    void SetUp() override {
        if (!has_bf16_panels(random(1, 2), random(1, 2))) {
            GTEST_SKIP() << "the processor does not multiply pairs of bfloat16";
        }
    }

    static at::Tensor random(std::int64_t rows, std::int64_t columns) {
        return at::randn({rows, columns}).to(at::kBFloat16);
    }

    static at::Tensor exact_product(const at::Tensor& x, const at::Tensor& weight) {
        return at::matmul(x.to(at::kDouble), weight.to(at::kDouble).t());
    }

    const at::NoGradGuard no_gradients{};
};

TEST_P(PanelProduct, IsThatOfTheMatrices) {
    const auto [rows, inputs, outputs] = GetParam();
    const at::Tensor x = random(rows, inputs);
    const at::Tensor weight = random(outputs, inputs);
    const at::Tensor y = panel_product(x, weight);
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    EXPECT_TRUE(is_near(y, exact_product(x, weight).to(at::kFloat), 1e-5));
}

TEST_P(PanelProduct, OfASwigluRoundsTheEndAlone) {
    const auto [rows, inputs, outputs] = GetParam();
    const at::Tensor x = random(rows, inputs);
    const at::Tensor gate = random(outputs, inputs);
    const at::Tensor up = random(outputs, inputs);
    const at::Tensor y = panel_swiglu(x, gate, up);
    EXPECT_EQ(y.scalar_type(), at::kBFloat16);
    const at::Tensor expected = at::silu(exact_product(x, gate)) * exact_product(x, up);
    EXPECT_TRUE(is_near(y.to(at::kFloat), expected.to(at::kFloat), 4e-3));
}

TEST_P(PanelProduct, OfARowDoesNotDependOnWhatIsBesideIt) {
    const auto [rows, inputs, outputs] = GetParam();
    const at::Tensor x = random(rows, inputs);
    const at::Tensor weight = random(outputs, inputs);
    const at::Tensor y = panel_product(x, weight);
    const std::int64_t first = rows / 3;
    const std::int64_t count = (rows - first + 1) / 2;
    EXPECT_TRUE(panel_product(x.narrow(0, first, count), weight).equal(y.narrow(0, first, count)));
    const std::int64_t half = (outputs + 1) / 2;
    EXPECT_TRUE(panel_product(x, weight.narrow(0, 0, half)).equal(y.narrow(1, 0, half)));
}

TEST_P(PanelProduct, OfOneThreadIsThatOfSeveral) {
    const auto [rows, inputs, outputs] = GetParam();
    const at::Tensor x = random(rows, inputs);
    const at::Tensor weight = random(outputs, inputs);
    const at::Tensor y = panel_product(x, weight);
    const at::Tensor inner = panel_swiglu(x, weight, weight);
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    const at::Tensor alone = panel_product(x, weight);
    const at::Tensor inner_alone = panel_swiglu(x, weight, weight);
    at::set_num_threads(threads);
    EXPECT_TRUE(alone.equal(y));
    EXPECT_TRUE(inner_alone.equal(inner));
}

INSTANTIATE_TEST_SUITE_P(Shapes, PanelProduct, ::testing::ValuesIn(shapes));

TEST(PanelProductOfOtherTensors, IsLeftToTheLibrary) {
    const at::Tensor x = at::randn({20, 6}).to(at::kBFloat16);
    EXPECT_FALSE(has_bf16_panels(x, at::randn({5, 6})));
    EXPECT_FALSE(has_bf16_panels(at::randn({20, 6}), x));
    EXPECT_FALSE(has_bf16_panels(x, x.t()));
    const at::Tensor odd = at::randn({20, 7}).to(at::kBFloat16);
    EXPECT_FALSE(has_bf16_panels(odd, odd));
}

}  // namespace
}  // namespace anamnesis::runtime
