// SPDX-License-Identifier: Apache-2.0
#include "chunk_states.hpp"

#include <cstdint>
#include <vector>

#include <ATen/ops/exp.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;

constexpr std::int64_t batch = 2;
constexpr std::int64_t heads = 3;
constexpr std::int64_t chunks = 5;

/// Chunk by chunk; `step` gives the state after chunk n.
template <class Step>
ChunkStates one_by_one(const at::Tensor& first, const Step& step) {
    std::vector<at::Tensor> entering;
    at::Tensor state = first;
    for (std::int64_t n = 0; n < chunks; ++n) {
        entering.push_back(state);
        state = step(n, state);
    }
    return {.entering = at::stack(entering, 2), .last = state};
}

void expect_near(const ChunkStates& actual, const ChunkStates& expected) {
    EXPECT_TRUE(is_near(actual.entering, expected.entering, 1e-12));
    EXPECT_TRUE(is_near(actual.last, expected.last, 1e-12));
}

TEST(ChunkStates, DecayAllAtOnceAsOneByOne) {
    const at::Tensor log_factor = -at::rand({heads}, at::kDouble) * 30.0;
    const at::Tensor added = at::randn({batch, heads, chunks, 4, 6}, at::kDouble);
    const at::Tensor first = at::randn({batch, heads, 4, 6}, at::kDouble);
    const at::Tensor factor = at::exp(log_factor).view({heads, 1, 1});
    expect_near(decayed_states(log_factor, added, first),
                one_by_one(first, [&](std::int64_t n, const at::Tensor& state) {
                    return state * factor + added.select(2, n);
                }));
}

TEST(ChunkStates, AreMultipliedAsOneByOne) {
    const at::Tensor transition = at::randn({batch, heads, chunks, 4, 4}, at::kDouble);
    const at::Tensor added = at::randn({batch, heads, chunks, 4, 6}, at::kDouble);
    const at::Tensor first = at::randn({batch, heads, 4, 6}, at::kDouble);
    expect_near(multiplied_states(transition, added, first),
                one_by_one(first, [&](std::int64_t n, const at::Tensor& state) {
                    return at::matmul(transition.select(2, n), state) + added.select(2, n);
                }));
}

TEST(InverseOfUnitLower, TurnsTheMatrixIntoTheUnit) {
    for (const std::int64_t size : {1, 2, 3, 22, 64}) {
        const at::Tensor lower = at::randn({batch, heads, size, size}, at::kDouble).tril(-1) * 0.3;
        const at::Tensor unit = at::eye(size, at::kDouble);
        EXPECT_TRUE(is_near(
            at::matmul(inverse_of_unit_lower(lower), lower + unit), unit.expand_as(lower), 1e-12))
            << size;
    }
}

TEST(InverseOfUnitLower, IsExactWhereTheSeriesWouldCancel) {
    // Powers of this matrix reach 1e18; its inverse has ones and minus ones only.
    const at::Tensor lower = at::ones({1, 64, 64}).tril(-1);
    const at::Tensor expected = at::eye(64) - at::ones({63}).diag(-1);
    EXPECT_TRUE(is_near(inverse_of_unit_lower(lower), expected.unsqueeze(0), 1e-6));
}

}  // namespace
}  // namespace anamnesis::runtime
