// SPDX-License-Identifier: Apache-2.0
#include "selective_scan.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ops/exp.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include "golden.hpp"
#include "run_in_pieces.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;
using testing::read_tensors;

/// Token by token, as the definition says.
SelectiveScanResult naive_selective_scan(const SelectiveScan& in) {
    const at::Tensor rate = -at::exp(in.log_rate);
    at::Tensor state = in.state;
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < in.x.size(1); ++t) {
        const at::Tensor step = in.step.select(1, t).unsqueeze(-1);
        const at::Tensor x = in.x.select(1, t);
        state =
            state * at::exp(step * rate) + step * x.unsqueeze(-1) * in.b.select(1, t).unsqueeze(1);
        outputs.push_back((state * in.c.select(1, t).unsqueeze(1)).sum(-1) + in.skip * x);
    }
    return {.output = at::stack(outputs, 1), .state = state};
}

SelectiveScanResult run_in_pieces(const SelectiveScan& whole, std::int64_t piece) {
    return testing::run_in_pieces(whole, piece, run_selective_scan);
}

struct GoldenSelectiveScan : ::testing::TestWithParam<std::string> {
    testing::Tensors golden =
        read_tensors(testing::golden_model("mixers") / "mamba1_scan.safetensors");

    const at::Tensor& at(const std::string& key) const { return golden.at(GetParam() + "." + key); }
    bool has(const std::string& key) const { return golden.contains(GetParam() + "." + key); }

    template <class Take>
    SelectiveScan input(const Take& take) const {
        return {.x = take("x"),
                .step = at::softplus(take("dt") + take("dt_bias")),
                .b = take("B"),
                .c = take("C"),
                .log_rate = take("A_log"),
                .skip = take("D"),
                .state = has("initial_state") ? take("initial_state") : at::Tensor()};
    }
};

INSTANTIATE_TEST_SUITE_P(
    Cases,
    GoldenSelectiveScan,
    ::testing::Values("plain", "state", "no_gate", "strong_decay", "slow_decay", "one_token"),
    [](const auto& instance) { return instance.param; });

TEST_P(GoldenSelectiveScan, IsMetWholeAndInPieces) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        for (const std::int64_t piece : {1, 7, 64, 65, 150}) {
            const SelectiveScanResult result = run_in_pieces(
                input([&](const std::string& key) { return at(key).to(type); }), piece);
            const at::Tensor output =
                has("z") ? result.output * at::silu(at("z").to(type)) : result.output;
            EXPECT_TRUE(is_near(output, at("output"), 1e-6)) << piece;
            EXPECT_TRUE(is_near(result.state, at("final_state"), 1e-6)) << piece;
        }
    }
}

TEST_P(GoldenSelectiveScan, HasTheGradientsOfTheReference) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        testing::Tensors leaves;
        const auto take = [&](const std::string& key) {
            return leaves[key] = at(key).to(type).clone().requires_grad_(true);
        };
        const SelectiveScanResult result = run_selective_scan(input(take));
        const at::Tensor output = has("z") ? result.output * at::silu(take("z")) : result.output;
        EXPECT_TRUE(is_near(output, at("output"), 1e-6));
        ((output * at("d_output").to(type)).sum() +
         (result.state * at("d_final_state").to(type)).sum())
            .backward();
        for (const auto& [key, leaf] : leaves) {
            EXPECT_TRUE(is_near(leaf.grad(), at("grad." + key), type == at::kFloat ? 4e-6 : 1e-6))
                << key;
        }
    }
}

TEST(SelectiveScan, MeetsItsDefinitionForAnyNumberOfChannels) {
    for (const std::int64_t channels : {1, 15, 16, 17, 40}) {
        for (const std::int64_t length : {1, 63, 64, 130}) {
            const auto make = [&](at::IntArrayRef sizes) {
                return at::randn(sizes).requires_grad_(true);
            };
            const SelectiveScan input{.x = make({2, length, channels}),
                                      .step = at::rand({2, length, channels}).requires_grad_(true),
                                      .b = make({2, length, 3}),
                                      .c = make({2, length, 3}),
                                      .log_rate = make({channels, 3}),
                                      .skip = make({channels}),
                                      .state = make({2, channels, 3})};
            const std::vector<at::Tensor> leaves{
                input.x, input.step, input.b, input.c, input.log_rate, input.skip, input.state};
            const at::Tensor by_output = at::randn({2, length, channels});
            const at::Tensor by_state = at::randn({2, channels, 3});
            std::vector<at::Tensor> exact;
            for (const bool is_naive : {true, false}) {
                const SelectiveScanResult result =
                    is_naive ? naive_selective_scan(input) : run_selective_scan(input);
                ((result.output * by_output).sum() + (result.state * by_state).sum()).backward();
                std::vector<at::Tensor> all{result.output, result.state};
                for (const at::Tensor& leaf : leaves) {
                    all.push_back(leaf.grad().clone());
                    leaf.mutable_grad().reset();
                }
                for (std::size_t i = 0; i < exact.size(); ++i) {
                    // Sums over texts may cancel: errors are held against terms of size 1.
                    const double error = (all[i] - exact[i]).abs().max().item<double>();
                    const double size = exact[i].abs().max().item<double>();
                    EXPECT_LE(error, 2e-5 * (1.0 + size)) << channels << " " << length << " " << i;
                }
                exact = all;
            }
        }
    }
}

}  // namespace
}  // namespace anamnesis::runtime
