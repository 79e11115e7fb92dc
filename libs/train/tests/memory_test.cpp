// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/memory.hpp"

#include <cstdint>

#include <gtest/gtest.h>

#include "golden_run.hpp"

namespace anamnesis::train {
namespace {

TEST(TheEstimateOfMemory, CountsWeightsGradientsAndMoments) {
    const runtime::Network network = testing::initial_network("qwen3", at::kFloat);
    std::uint64_t count = 0;
    for (const auto& [name, parameter] : network.parameters()) {
        count += static_cast<std::uint64_t>(parameter.numel());
    }
    const MemoryEstimate estimate = estimate_memory(network, {.rows = 2, .length = 10});
    EXPECT_EQ(estimate.weights, 4 * count);
    EXPECT_EQ(estimate.gradients, 4 * count);
    EXPECT_EQ(estimate.moments, 8 * count);
    const MemoryEstimate larger = estimate_memory(network, {.rows = 4, .length = 10});
    const MemoryEstimate largest = estimate_memory(network, {.rows = 6, .length = 10});
    EXPECT_GT(larger.activations, estimate.activations);
    EXPECT_EQ(largest.activations - larger.activations, larger.activations - estimate.activations);
    const runtime::Network rounded = testing::initial_network("qwen3", at::kBFloat16);
    const MemoryEstimate masters = estimate_memory(rounded, {.rows = 2, .length = 10});
    EXPECT_GT(masters.weights, estimate.weights);
    EXPECT_EQ(masters.moments, estimate.moments);
}

TEST(TheEstimateOfMemory, IsSmallerWhereLayersAreComputedAgain) {
    const runtime::Network network = testing::initial_network("qwen3_5", at::kFloat);
    EXPECT_LT(estimate_memory(network, {.rows = 2, .length = 10}, true).activations,
              estimate_memory(network, {.rows = 2, .length = 10}).activations);
}

TEST(TheEstimateOfMemory, KnowsWhatTheMachineHas) {
    EXPECT_GT(available_memory(), 1U << 20U);
    EXPECT_GT(resident_memory(), 1U << 20U);
}

}  // namespace
}  // namespace anamnesis::train
