// SPDX-License-Identifier: Apache-2.0
#include "convolution.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;
using testing::read_tensors;

constexpr double tolerance = 1e-6;

testing::Tensors mixer_golden(const std::string& name) {
    return read_tensors(testing::golden_model("mixers") / (name + ".safetensors"));
}

TEST(Convolution, FollowsTheReferenceFromAZeroPast) {
    const testing::Tensors golden = mixer_golden("gated_delta");
    for (const std::string name : {"conv4", "conv3", "conv4_short"}) {
        const auto at = [&](const std::string& key) { return golden.at(name + "." + key); };
        const at::Tensor x = at("x").to(at::kDouble).requires_grad_(true);
        const at::Tensor kernel = at("weight").to(at::kDouble).requires_grad_(true);
        const ConvolutionResult result = convolve(x.transpose(1, 2), kernel, {});
        const at::Tensor y = result.output.transpose(1, 2);
        EXPECT_TRUE(is_near(y, at("output_linear"), tolerance));
        EXPECT_TRUE(is_near(at::silu(y), at("output_silu"), tolerance));
        (at::silu(y) * at("d_output_silu")).sum().backward();
        EXPECT_TRUE(is_near(x.grad(), at("grad.x"), tolerance));
        EXPECT_TRUE(is_near(kernel.grad(), at("grad.weight"), tolerance));
    }
}

TEST(Convolution, ContinuesFromThePast) {
    const testing::Tensors golden = mixer_golden("gated_delta");
    for (const std::string name : {"conv4", "conv3", "conv4_short"}) {
        const auto at = [&](const std::string& key) { return golden.at(name + "." + key); };
        const std::int64_t width = at("weight").size(1);
        // The reference keeps W inputs; the oldest has no influence.
        const auto to_past = [&](const at::Tensor& state) {
            return state.narrow(2, 1, width - 1).transpose(1, 2);
        };
        const ConvolutionResult result =
            convolve(at("x").transpose(1, 2), at("weight"), to_past(at("cached_state")));
        EXPECT_TRUE(is_near(
            at::silu(result.output.transpose(1, 2)), at("output_silu_from_state"), tolerance));
        EXPECT_TRUE(is_near(result.past, to_past(at("final_state")), tolerance));
    }
}

TEST(Convolution, FollowsTheReferenceWithAKernelForEveryToken) {
    const testing::Tensors golden = mixer_golden("jetblock_dynconv");
    const at::Tensor x = golden.at("x").to(at::kDouble).requires_grad_(true);
    const at::Tensor kernel = golden.at("kernel").to(at::kDouble).requires_grad_(true);
    const ConvolutionResult fresh = convolve_dynamically(x, kernel, {});
    EXPECT_TRUE(is_near(fresh.output, golden.at("y"), tolerance));
    (fresh.output * golden.at("do")).sum().backward();
    EXPECT_TRUE(is_near(x.grad(), golden.at("dx"), tolerance));
    EXPECT_TRUE(is_near(kernel.grad(), golden.at("dkernel"), tolerance));

    at::Tensor past = golden.at("cache").narrow(2, 1, 3).transpose(1, 2);
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < golden.at("x").size(1); ++t) {
        const ConvolutionResult step = convolve_dynamically(
            golden.at("x").narrow(1, t, 1), golden.at("kernel").narrow(1, t, 1), past);
        past = step.past;
        outputs.push_back(step.output);
    }
    EXPECT_TRUE(is_near(at::cat(outputs, 1), golden.at("cache.y"), tolerance));
    EXPECT_TRUE(is_near(past, golden.at("cache.final").narrow(2, 1, 3).transpose(1, 2), tolerance));
}

/// Mamba's convolution: with a bias, then silu.
TEST(Convolution, FollowsTheReferenceWithABias) {
    const testing::Tensors golden = mixer_golden("short_conv");
    for (const std::string name : {"silu_bias", "silu_bias_short"}) {
        const auto at = [&](const std::string& key) { return golden.at(name + "." + key); };
        for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
            testing::Tensors leaves;
            for (const std::string key : {"x", "weight", "bias", "past"}) {
                leaves[key] = at(key).to(type).clone().requires_grad_(true);
            }
            const ConvolutionResult result =
                convolve(leaves["x"], leaves["weight"], leaves["past"], leaves["bias"]);
            EXPECT_TRUE(is_near(at::silu(result.output), at("output"), tolerance));
            EXPECT_TRUE(is_near(result.past, at("final_past"), tolerance));
            ((at::silu(result.output) * at("d_output").to(type)).sum() +
             (result.past * at("d_final_past").to(type)).sum())
                .backward();
            for (const auto& [key, leaf] : leaves) {
                EXPECT_TRUE(is_near(leaf.grad(), at("grad." + key), tolerance)) << key;
            }
        }
    }
}

TEST(Convolution, AddsTheBiasInPiecesToo) {
    const testing::Tensors golden = mixer_golden("short_conv");
    for (const std::string name : {"silu_bias", "silu_bias_short"}) {
        const auto at = [&](const std::string& key) { return golden.at(name + "." + key); };
        EXPECT_TRUE(is_near(at::silu(convolve(at("x"), at("weight"), {}, at("bias")).output),
                            at("output_from_zero_past"),
                            tolerance));
        at::Tensor past = at("past");
        std::vector<at::Tensor> outputs;
        for (std::int64_t t = 0; t < at("x").size(1); ++t) {
            const ConvolutionResult step =
                convolve(at("x").narrow(1, t, 1), at("weight"), past, at("bias"));
            past = step.past;
            outputs.push_back(at::silu(step.output));
        }
        EXPECT_TRUE(is_near(at::cat(outputs, 1), at("output"), tolerance));
        EXPECT_TRUE(is_near(past, at("final_past"), tolerance));
    }
}

}  // namespace
}  // namespace anamnesis::runtime
