// SPDX-License-Identifier: Apache-2.0
#include "recomputed.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include "anamnesis/runtime/network.hpp"

#include "golden.hpp"

namespace anamnesis::runtime {
namespace {

using testing::golden_model;
using testing::golden_network;
using testing::is_near;
using testing::read_tensors;

/// Layers that run again for their gradients, and texts of a packed row, in every kind of layer.
struct RecomputedLayers : ::testing::TestWithParam<std::string> {
    at::Tensor ids = read_tensors(golden_model(GetParam()) / "expected.safetensors")
                         .at("input_ids")
                         .narrow(0, 0, 1);

    Network load(bool recomputes_layers) const {
        return golden_network(GetParam(),
                              {.weight_type = at::kFloat,
                               .is_trainable = true,
                               .recomputes_layers = recomputes_layers});
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         RecomputedLayers,
                         ::testing::Values("bamba_hub_config",
                                           "falcon_h1_odd",
                                           "granitemoehybrid_hub_config",
                                           "hypenet_base",
                                           "jamba_hub_config",
                                           "nemotron_h_hub_config",
                                           "qwen3_next_base",
                                           "zamba2_odd"),
                         [](const auto& instance) { return instance.param; });

TEST_P(RecomputedLayers, HaveTheSameGradients) {
    const std::vector<std::int64_t> boundaries{0, 40, 41, 150};
    std::map<std::string, at::Tensor> kept;
    for (const bool recomputes : {false, true}) {
        const Network network = load(recomputes);
        network.logits(network.forward_packed(ids, boundaries)).square().sum().backward();
        for (const auto& [name, parameter] : network.parameters()) {
            if (!recomputes) {
                kept[name] = parameter.grad();
            } else if (kept[name].defined()) {
                EXPECT_TRUE(is_near(parameter.grad(), kept[name], 1e-6)) << name;
            } else {
                EXPECT_FALSE(parameter.grad().defined()) << name;
            }
        }
    }
}

TEST_P(RecomputedLayers, ReadTextsOfAPackedRowByThemselves) {
    const Network network = load(/*recomputes_layers=*/false);
    const std::vector<std::int64_t> boundaries{0, 40, 41, 150};
    std::vector<at::Tensor> texts;
    for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
        texts.push_back(
            network.forward(ids.narrow(1, boundaries[i], boundaries[i + 1] - boundaries[i])));
    }
    EXPECT_TRUE(is_near(network.forward_packed(ids, boundaries), at::cat(texts, 1), 1e-6));
}

}  // namespace
}  // namespace anamnesis::runtime
