// SPDX-License-Identifier: Apache-2.0
#include "linear_scan.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;

/// Token by token, as the definition says.
LinearScanResult naive_linear_scan(const LinearScan& in) {
    at::Tensor state = in.state;
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < in.added.size(1); ++t) {
        state = state * in.decay.select(1, t) + in.added.select(1, t);
        outputs.push_back(state);
    }
    return {.output = at::stack(outputs, 1), .state = state};
}

struct Shape {
    std::int64_t length = 0;
    std::int64_t channels = 0;
};

struct LinearScans : ::testing::TestWithParam<Shape> {
    at::Tensor decay = at::rand({2, GetParam().length, GetParam().channels}, at::kDouble);
    at::Tensor added = at::randn({2, GetParam().length, GetParam().channels}, at::kDouble);
    at::Tensor state = at::randn({2, GetParam().channels}, at::kDouble);

    LinearScan input(at::ScalarType type) const {
        return {.decay = decay.to(type), .added = added.to(type), .state = state.to(type)};
    }
};

// One channel, some lanes, blocks of channels with a rest; one token, chunks with a rest.
INSTANTIATE_TEST_SUITE_P(
    Shapes,
    LinearScans,
    ::testing::Values(Shape{1, 1}, Shape{7, 5}, Shape{64, 64}, Shape{65, 17}, Shape{150, 131}),
    [](const auto& instance) {
        return std::to_string(instance.param.length) + "_tokens_" +
               std::to_string(instance.param.channels) + "_channels";
    });

TEST_P(LinearScans, MeetTheDefinition) {
    const LinearScanResult expected = naive_linear_scan(input(at::kDouble));
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        const double tolerance = type == at::kFloat ? 1e-6 : 1e-13;
        const LinearScanResult actual = run_linear_scan(input(type));
        EXPECT_TRUE(is_near(actual.output, expected.output, tolerance));
        EXPECT_TRUE(is_near(actual.state, expected.state, tolerance));
    }
}

TEST_P(LinearScans, GoOnFromTheState) {
    const LinearScan whole = input(at::kFloat);
    const LinearScanResult expected = run_linear_scan(whole);
    LinearScan piece = whole;
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < whole.added.size(1); ++t) {
        piece.decay = whole.decay.narrow(1, t, 1);
        piece.added = whole.added.narrow(1, t, 1);
        const LinearScanResult result = run_linear_scan(piece);
        outputs.push_back(result.output.select(1, 0));
        piece.state = result.state;
    }
    EXPECT_TRUE(at::stack(outputs, 1).equal(expected.output));
    EXPECT_TRUE(piece.state.equal(expected.state));
}

TEST_P(LinearScans, HaveTheGradientsOfTheDefinition) {
    const at::Tensor by_output = at::randn_like(added);
    const at::Tensor by_state = at::randn_like(state);
    const auto gradients = [&](const auto& scan, at::ScalarType type) {
        LinearScan in = input(type);
        std::vector<at::Tensor> leaves{in.decay, in.added, in.state};
        for (at::Tensor& leaf : leaves) {
            leaf = leaf.clone().requires_grad_(true);
        }
        const LinearScanResult result =
            scan(LinearScan{.decay = leaves[0], .added = leaves[1], .state = leaves[2]});
        ((result.output * by_output.to(type)).sum() + (result.state * by_state.to(type)).sum())
            .backward();
        return std::vector<at::Tensor>{leaves[0].grad(), leaves[1].grad(), leaves[2].grad()};
    };
    const auto expected = gradients(naive_linear_scan, at::kDouble);
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        const auto actual = gradients(run_linear_scan, type);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            EXPECT_TRUE(is_near(actual[i], expected[i], type == at::kFloat ? 2e-6 : 1e-13)) << i;
        }
    }
}

TEST(LinearScan, StartsFromZeroWithoutAState) {
    const at::Tensor decay = at::rand({1, 3, 4});
    const at::Tensor added = at::randn({1, 3, 4});
    EXPECT_TRUE(run_linear_scan({.decay = decay, .added = added})
                    .output.select(1, 0)
                    .equal(added.select(1, 0)));
}

}  // namespace
}  // namespace anamnesis::runtime
