// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randn_like.h>
#include <gtest/gtest.h>

#include "anamnesis/runtime/network.hpp"

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::golden_model;
using testing::golden_network;
using testing::is_near;
using testing::read_tensors;

/// Mean cross-entropy of every next token.
at::Tensor compute_loss(const Network& network, const at::Tensor& ids) {
    const at::Tensor logits = network.logits(network.forward(ids));
    const std::int64_t predictions = ids.size(1) - 1;
    return at::cross_entropy_loss(logits.narrow(1, 0, predictions).reshape({-1, logits.size(2)}),
                                  ids.narrow(1, 1, predictions).reshape({-1}));
}

struct GoldenGradients : ::testing::TestWithParam<std::string> {
    testing::Tensors golden = read_tensors(golden_model(GetParam()) / "grads.safetensors");

    /// Undefined for a tensor that only chooses: it has none.
    at::Tensor gradient(const std::string& name) const {
        for (const std::string& key : {name, "grad." + name}) {
            if (const auto found = golden.find(key); found != golden.end()) {
                return found->second;
            }
        }
        return {};
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenGradients,
                         ::testing::ValuesIn(testing::golden_models("grads.safetensors")),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenGradients, AgreeForEveryTensor) {
    for (const auto& [type, tolerance] :
         {std::pair{at::kDouble, 1e-6}, std::pair{at::kFloat, 1e-4}}) {
        const Network network =
            golden_network(GetParam(), {.weight_type = type, .is_trainable = true});
        const at::Tensor loss = compute_loss(network, golden.at("input_ids"));
        EXPECT_NEAR(loss.item<double>(), golden.at("loss").item<double>(), tolerance * 10.0);
        loss.backward();
        for (const auto& [name, parameter] : network.parameters()) {
            if (const at::Tensor expected = gradient(name); expected.defined()) {
                EXPECT_TRUE(is_near(parameter.grad(), expected, tolerance)) << name;
            } else {
                EXPECT_FALSE(parameter.grad().defined()) << name;
            }
        }
    }
}

/// Golden models of testdata without quantised weights, which cannot be trained.
std::vector<std::string> trainable_models() {
    std::vector<std::string> names = testing::golden_models("expected.safetensors", false);
    std::erase_if(names, [](const std::string& name) {
        const auto files = checkpoint::Checkpoint::open(golden_model(name));
        return files.config().find("quantization_config") != nullptr;
    });
    return names;
}

/// Gradients along random directions in float64.
struct FiniteDifferences : ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models,
                         FiniteDifferences,
                         ::testing::ValuesIn(trainable_models()),
                         [](const auto& instance) { return instance.param; });

TEST_P(FiniteDifferences, MeetTheGradientOfEveryTensor) {
    // Fixed directions: one that moves a token to another expert has no slope.
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    generator.set_current_seed(1);
    const Network network =
        golden_network(GetParam(), {.weight_type = at::kDouble, .is_trainable = true});
    const at::Tensor ids = read_tensors(golden_model(GetParam()) / "expected.safetensors")
                               .at("input_ids")
                               .narrow(1, 0, 70);
    compute_loss(network, ids).backward();
    const at::NoGradGuard no_gradients;
    for (const auto& [name, parameter] : network.parameters()) {
        const at::Tensor random = at::randn_like(parameter);
        const at::Tensor direction = random / random.norm();
        constexpr double step = 1e-4;
        const auto loss_at = [&](double distance) {
            parameter.add_(direction, distance);
            const double loss = compute_loss(network, ids).item<double>();
            parameter.add_(direction, -distance);
            return loss;
        };
        const double expected = (loss_at(step) - loss_at(-step)) / (2.0 * step);
        // An expert that no token chose has no gradient.
        const double slope =
            parameter.grad().defined() ? (parameter.grad() * direction).sum().item<double>() : 0.0;
        EXPECT_NEAR(slope, expected, 1e-6 * (1.0 + std::abs(expected))) << name;
    }
}

}  // namespace
}  // namespace anamnesis::runtime
