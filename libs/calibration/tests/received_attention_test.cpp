// SPDX-License-Identifier: Apache-2.0
#include "received_attention.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "anamnesis/runtime/network.hpp"

namespace anamnesis::calibration {
namespace {

/// Term by term, in float64.
at::Tensor sum_naively(const runtime::Routing& routing,
                       const std::vector<std::int64_t>& positions,
                       const std::vector<double>& weights,
                       const SoftmaxRules& rules) {
    const auto q = routing.q.select(0, 0).to(at::kDouble);
    const auto k = routing.k.select(0, 0).to(at::kDouble);
    const std::int64_t tokens = q.size(0);
    const std::int64_t group = q.size(1) / k.size(1);
    at::Tensor received = at::zeros({tokens, k.size(1)}, at::kDouble);
    for (std::size_t p = 0; p < positions.size(); ++p) {
        const std::int64_t t = positions[p];
        for (std::int64_t head = 0; head < q.size(1); ++head) {
            std::vector<double> shares(static_cast<std::size_t>(tokens));
            double total = rules.sinks.defined() ? std::exp(rules.sinks[head].item<double>()) : 0.0;
            for (std::int64_t s = 0; s <= t; ++s) {
                if (rules.window && s + *rules.window <= t) {
                    continue;
                }
                double logit = (q[t][head] * k[s][head / group]).sum().item<double>() /
                               std::sqrt(static_cast<double>(q.size(2)));
                if (rules.softcap) {
                    logit = *rules.softcap * std::tanh(logit / *rules.softcap);
                }
                if (rules.slopes.defined()) {
                    logit -= rules.slopes[head].item<double>() * static_cast<double>(t - s);
                }
                shares[static_cast<std::size_t>(s)] = std::exp(logit);
                total += shares[static_cast<std::size_t>(s)];
            }
            for (std::int64_t s = 0; s < tokens; ++s) {
                received[s][head / group] +=
                    weights[p] * shares[static_cast<std::size_t>(s)] / total;
            }
        }
    }
    return received;
}

/// The largest difference from plain loops over all rules, in the type of the routing.
double find_difference(const runtime::Routing& routing) {
    const std::vector<std::int64_t> positions{0, 3, 4, 8};
    double most = 0.0;
    for (const std::optional<std::uint32_t> window :
         {std::optional<std::uint32_t>(), std::optional<std::uint32_t>(3)}) {
        for (const std::vector<double>& weights :
             {std::vector<double>{1.0, 1.0, 1.0, 1.0}, std::vector<double>{0.5, 2.0, 0.0, 3.0}}) {
            for (SoftmaxRules rules : {SoftmaxRules{},
                                       SoftmaxRules{.sinks = at::randn({4})},
                                       SoftmaxRules{.softcap = 0.5},
                                       SoftmaxRules{.slopes = at::rand({4})}}) {
                rules.window = window;
                const at::Tensor ours = sum_received_attention(routing,
                                                               at::tensor(positions, at::kLong),
                                                               at::tensor(weights, at::kDouble),
                                                               rules);
                const at::Tensor expected = sum_naively(routing, positions, weights, rules);
                most = std::max(most, (ours - expected).abs().max().item<double>());
            }
        }
    }
    return most;
}

TEST(ReceivedAttention, IsThatOfPlainLoops) {
    const runtime::Routing routing{.q = at::randn({1, 9, 4, 6}), .k = at::randn({1, 9, 2, 6})};
    const at::Tensor before = routing.q.clone();
    EXPECT_LE(find_difference(routing), 1e-6);
    EXPECT_TRUE(routing.q.equal(before));
    EXPECT_LE(find_difference({.q = routing.q.to(at::kDouble), .k = routing.k.to(at::kDouble)}),
              1e-12);
}

TEST(ReceivedAttention, AddsUpToThePredictingPositions) {
    const runtime::Routing routing{.q = at::randn({1, 50, 6, 8}), .k = at::randn({1, 50, 3, 8})};
    const at::Tensor received = sum_received_attention(
        routing, at::tensor(std::vector<std::int64_t>{7, 30, 49}, at::kLong), {});
    // Three positions, two query heads a group.
    EXPECT_LE((received.sum(0) - 6.0).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace anamnesis::calibration
