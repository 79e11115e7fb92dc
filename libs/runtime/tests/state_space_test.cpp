// SPDX-License-Identifier: Apache-2.0
#include "state_space.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/mixers/mamba2.hpp"
#include "anamnesis/io/file.hpp"

#include "golden.hpp"
#include "run_in_pieces.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::GatedNorm;
using checkpoint::Mamba2Spec;
using testing::is_near;
using testing::read_tensors;

/// Token by token, as the definition says.
StateSpaceResult naive_state_space(const StateSpace& in) {
    const std::int64_t share = in.x.size(2) / in.b.size(2);
    const at::Tensor b = in.b.repeat_interleave(share, 2);
    const at::Tensor c = in.c.repeat_interleave(share, 2);
    const at::Tensor rate = -at::exp(in.log_rate);
    at::Tensor state = in.state;
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < in.x.size(1); ++t) {
        const at::Tensor step = in.step.select(1, t).unsqueeze(-1);  // [B, H, 1]
        const at::Tensor x = in.x.select(1, t);                      // [B, H, P]
        state = state * at::exp(step * rate.unsqueeze(-1)).unsqueeze(-1) +
                b.select(1, t).unsqueeze(-1) * (step * x).unsqueeze(-2);
        outputs.push_back((state * c.select(1, t).unsqueeze(-1)).sum(-2) +
                          in.skip.unsqueeze(-1) * x);
    }
    return {.output = at::stack(outputs, 1), .state = state};
}

StateSpaceResult run_in_pieces(const StateSpace& whole, std::int64_t piece) {
    return testing::run_in_pieces(whole, piece, run_state_space);
}

/// A case of mamba2_ssd, whose states are [P, N].
struct GoldenStateSpace : ::testing::TestWithParam<std::string> {
    testing::Tensors golden =
        read_tensors(testing::golden_model("mixers") / "mamba2_ssd.safetensors");

    const at::Tensor& at(const std::string& key) const { return golden.at(GetParam() + "." + key); }
    bool has(const std::string& key) const { return golden.contains(GetParam() + "." + key); }

    Mamba2Spec spec() const {
        const Json meta =
            Json::parse(io::read_text(testing::golden_model("mixers") / "mamba2_ssd.json"));
        const Json& limits = meta.at("cases").at(GetParam()).at("dt_limit");
        Mamba2Spec spec{.least_step = limits.as_array("dt_limit")[0].as_double("dt_limit")};
        if (!limits.as_array("dt_limit")[1].is_null()) {
            spec.greatest_step = limits.as_array("dt_limit")[1].as_double("dt_limit");
        }
        return spec;
    }

    /// Of the tensors of the case as `take` gives them.
    template <class Take>
    StateSpace input(const Take& take) const {
        return {
            .x = take("x"),
            .step = make_steps(take("dt"), take("dt_bias"), spec()),
            .b = take("B"),
            .c = take("C"),
            .log_rate = take("A_log"),
            .skip = take("D"),
            .state = has("initial_state") ? take("initial_state").transpose(-1, -2) : at::Tensor()};
    }

    StateSpace input(at::ScalarType type) const {
        return input([&](const std::string& key) { return at(key).to(type); });
    }

    void expect(const StateSpaceResult& result, double tolerance, const std::string& what) const {
        EXPECT_TRUE(is_near(result.output, at("output"), tolerance)) << what;
        EXPECT_TRUE(is_near(result.state.transpose(-1, -2), at("final_state"), tolerance)) << what;
    }
};

INSTANTIATE_TEST_SUITE_P(Cases,
                         GoldenStateSpace,
                         ::testing::Values("plain",
                                           "grouped_state",
                                           "dt_limit",
                                           "strong_decay",
                                           "slow_decay",
                                           "one_token",
                                           "chunk_exact",
                                           "chunk_plus_one",
                                           "two_tokens"),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenStateSpace, IsMetWholeAndInPieces) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        for (const std::int64_t piece : {1, 7, 64, 65, 150}) {
            expect(run_in_pieces(input(type), piece), 1e-6, std::to_string(piece));
        }
    }
}

TEST_P(GoldenStateSpace, HasTheGradientsOfTheReference) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        testing::Tensors leaves;
        const StateSpaceResult result = run_state_space(input([&](const std::string& key) {
            return leaves[key] = at(key).to(type).clone().requires_grad_(true);
        }));
        expect(result, 1e-6, "as tensors");
        ((result.output * at("d_output").to(type)).sum() +
         (result.state.transpose(-1, -2) * at("d_final_state").to(type)).sum())
            .backward();
        for (const auto& [key, leaf] : leaves) {
            // A rate's gradient is a small sum of large terms.
            const double tolerance = type == at::kDouble ? 1e-6 : key == "A_log" ? 5e-5 : 1e-5;
            EXPECT_TRUE(is_near(leaf.grad(), at("grad." + key), tolerance)) << key;
        }
    }
}

/// The gated norm of mamba2_ssd: its groups and the order of norm and gate.
struct GoldenGatedNorm : ::testing::TestWithParam<std::pair<std::string, Mamba2Spec>> {};

INSTANTIATE_TEST_SUITE_P(
    Cases,
    GoldenGatedNorm,
    ::testing::Values(
        std::pair("norm_gate_first", Mamba2Spec{.groups = 1, .norm = GatedNorm::gate_first}),
        std::pair("norm_gate_first_groups", Mamba2Spec{.groups = 3, .norm = GatedNorm::gate_first}),
        std::pair("norm_norm_first", Mamba2Spec{.groups = 1, .norm = GatedNorm::norm_first}),
        std::pair("norm_norm_first_groups",
                  Mamba2Spec{.groups = 4, .norm = GatedNorm::norm_first})),
    [](const auto& instance) { return instance.param.first; });

TEST_P(GoldenGatedNorm, IsMetWithItsGradients) {
    const auto& [name, spec] = GetParam();
    const testing::Tensors golden =
        read_tensors(testing::golden_model("mixers") / "mamba2_ssd.safetensors");
    const auto at = [&](const std::string& key) { return golden.at(name + "." + key); };
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        testing::Tensors leaves;
        for (const std::string key : {"y", "z", "weight"}) {
            leaves[key] = at(key).to(type).clone().requires_grad_(true);
        }
        const at::Tensor output = apply_gated_norm(
            {.gain = leaves["weight"], .eps = 1e-5}, leaves["y"], leaves["z"], spec);
        EXPECT_TRUE(is_near(output, at("output"), 1e-6));
        (output * at("d_output").to(type)).sum().backward();
        for (const auto& [key, leaf] : leaves) {
            EXPECT_TRUE(is_near(leaf.grad(), at("grad." + key), 2e-6)) << key;
        }
        const at::NoGradGuard no_gradients;
        EXPECT_TRUE(is_near(
            apply_gated_norm(
                {.gain = leaves["weight"], .eps = 1e-5}, leaves["y"], leaves["z"].clone(), spec),
            at("output"),
            1e-6));
    }
}

/// Odd sizes, two texts: heads of 5 in groups of 3, states of 7.
StateSpace random_input(std::int64_t length, at::ScalarType type) {
    const auto options = at::TensorOptions().dtype(type);
    return {.x = at::randn({2, length, 6, 5}, options),
            .step = at::rand({2, length, 6}, options),
            .b = at::randn({2, length, 2, 7}, options),
            .c = at::randn({2, length, 2, 7}, options),
            .log_rate = at::randn({6}, options),
            .skip = at::randn({6}, options),
            .state = at::randn({2, 6, 7, 5}, options)};
}

TEST(StateSpace, FormsAgreeAtAnyLength) {
    for (const std::int64_t length : {1, 2, 63, 64, 65, 128, 200, 4100}) {
        StateSpace input = random_input(length, at::kFloat);
        const StateSpaceResult exact = naive_state_space(input);
        const StateSpaceResult in_kernel = run_state_space(input);
        input.x.requires_grad_(true);
        const StateSpaceResult as_tensors = run_state_space(input);
        for (const StateSpaceResult& result : {in_kernel, as_tensors}) {
            EXPECT_TRUE(is_near(result.output, exact.output, 2e-6)) << length;
            EXPECT_TRUE(is_near(result.state, exact.state, 2e-6)) << length;
        }
    }
}

TEST(StateSpace, ForgetsEverythingAtOnceWithoutNan) {
    StateSpace input = random_input(130, at::kFloat);
    input.step = input.step * 400.0;
    const at::Tensor exact = naive_state_space(input).output;
    EXPECT_TRUE(is_near(run_state_space(input).output, exact, 2e-6));
    input.x.requires_grad_(true);
    const at::Tensor output = run_state_space(input).output;
    EXPECT_TRUE(is_near(output, exact, 2e-6));
    output.sum().backward();
    EXPECT_TRUE(input.x.grad().isfinite().all().item<bool>());
}

}  // namespace
}  // namespace anamnesis::runtime
