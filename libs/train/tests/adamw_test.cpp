// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/adamw.hpp"

#include <cmath>
#include <map>
#include <set>
#include <string>

#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

namespace anamnesis::train {
namespace {

constexpr AdamWSettings settings{.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};

/// One tensor's steps as the paper writes them, in float64.
struct Written {
    at::Tensor weights;
    at::Tensor average;
    at::Tensor square;
    int steps = 0;

    void move(const at::Tensor& gradient, double rate, double decay) {
        ++steps;
        average = average * settings.beta1 + gradient * (1.0 - settings.beta1);
        square = square * settings.beta2 + gradient * gradient * (1.0 - settings.beta2);
        const at::Tensor mean = average / (1.0 - std::pow(settings.beta1, steps));
        const at::Tensor spread = (square / (1.0 - std::pow(settings.beta2, steps))).sqrt();
        weights = weights * (1.0 - rate * decay) - rate * mean / (spread + settings.eps);
    }
};

TEST(AdamW, MovesWeightsByNarrowGradientsAsThePaperWritesIt) {
    // The first fills a bundle of its own, the others share one.
    NamedTensors weights{
        {"large", at::randn({1024, 700})}, {"a", at::randn({30, 20})}, {"b", at::randn({40})}};
    const std::set<std::string> decaying{"large", "a"};
    std::map<std::string, Written> written;
    for (const auto& [name, tensor] : weights) {
        const at::Tensor precise = tensor.to(at::kDouble);
        written.emplace(name,
                        Written{.weights = precise,
                                .average = at::zeros_like(precise),
                                .square = at::zeros_like(precise)});
    }
    AdamW optimizer(weights, decaying, settings);
    for (int step = 0; step < 3; ++step) {
        NamedTensors gradients;
        for (auto& [name, tensor] : weights) {
            const at::Tensor gradient = at::randn(tensor.sizes()).to(at::kBFloat16);
            gradients.emplace(name, gradient);
            written.at(name).move(
                gradient.to(at::kDouble) * 0.5, 1e-2, decaying.contains(name) ? 0.1 : 0.0);
        }
        std::multiset<std::string> told;
        optimizer.step(1e-2, gradients, 0.5, [&](const std::string& name) { told.insert(name); });
        EXPECT_EQ(told, (std::multiset<std::string>{"large", "a", "b"}));
    }
    for (const auto& [name, tensor] : weights) {
        const at::Tensor off = (tensor.to(at::kDouble) - written.at(name).weights).abs().max();
        EXPECT_LT(off.item<double>(), 1e-5) << name;
    }
}

TEST(AdamW, LeavesATensorWithoutAGradientAlone) {
    const NamedTensors weights{{"a", at::full({4}, 1.0)}, {"b", at::full({4}, 1.0)}};
    AdamW optimizer(weights, {"a", "b"}, settings);
    optimizer.step(1e-2, {{"a", at::full({4}, 1.0)}}, 1.0, [](const std::string& name) {
        EXPECT_EQ(name, "a");
    });
    EXPECT_TRUE(weights.at("b").eq(1.0).all().item<bool>());
    EXPECT_FALSE(weights.at("a").eq(1.0).any().item<bool>());
    EXPECT_FALSE(optimizer.state().contains("step.b"));
}

}  // namespace
}  // namespace anamnesis::train
