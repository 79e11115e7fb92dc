// SPDX-License-Identifier: Apache-2.0
#include "mamba2_step.hpp"

#include <cstdint>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "anamnesis/checkpoint/mixers/mamba2.hpp"

#include "golden.hpp"
#include "layer_call.hpp"

namespace anamnesis::runtime {
namespace {

using checkpoint::GatedNorm;
using checkpoint::Mamba2Spec;
using testing::is_near;

Mamba2Layer random_layer(const Mamba2Spec& spec, std::int64_t hidden) {
    const std::int64_t inner = std::int64_t{spec.heads} * spec.head_dim;
    const std::int64_t channels = inner + 2 * std::int64_t{spec.groups} * spec.state_size;
    const std::int64_t rows = inner + channels + spec.heads;
    Mamba2Layer layer{.spec = spec,
                      .in_proj = {.weight = at::randn({rows, hidden}) * 0.3},
                      .kernel = at::randn({channels, 1, spec.conv_width}) * 0.5,
                      .dt_bias = at::randn({spec.heads}),
                      .log_rate = at::randn({spec.heads}),
                      .skip = at::randn({spec.heads}),
                      .out_proj = {.weight = at::randn({hidden, inner})}};
    if (spec.has_conv_bias) {
        layer.kernel_bias = at::randn({channels});
    }
    if (spec.norm != GatedNorm::none) {
        layer.norm = {.gain = at::rand({inner}) + 0.5, .eps = spec.norm_eps};
    }
    if (spec.section_scales) {
        layer.row_scales = at::rand({rows}) + 0.5;
    }
    return layer;
}

std::vector<Mamba2Spec> specs() {
    const Mamba2Spec base{
        .heads = 6, .head_dim = 20, .groups = 2, .state_size = 24, .conv_width = 4};
    std::vector<Mamba2Spec> all;
    for (const GatedNorm norm : {GatedNorm::none, GatedNorm::gate_first, GatedNorm::norm_first}) {
        all.push_back(base);
        all.back().norm = norm;
    }
    all.push_back(base);
    all.back().groups = 1;
    all.back().has_conv_bias = false;
    all.push_back(base);
    all.back().least_step = 0.2;
    all.back().greatest_step = 0.7;
    all.back().conv_width = 3;
    all.back().section_scales = {1.0, 1.0, 1.0, 1.0, 1.0};
    return all;
}

TEST(Mamba2Step, GoesOnWhereAWholeTextEnds) {
    const at::NoGradGuard no_gradients;
    for (const Mamba2Spec& spec : specs()) {
        const Mamba2Layer layer = random_layer(spec, 32);
        const at::Tensor x = at::randn({2, 9, 32});
        const at::Tensor whole = mix(layer, x, {}, {});
        std::vector<LayerState> states(2);
        const std::vector<LayerState*> both{&states[0], &states[1]};
        std::vector<at::Tensor> outputs;
        for (std::int64_t t = 0; t < x.size(1); ++t) {
            outputs.push_back(mix(layer, x.narrow(1, t, 1), {}, both));
        }
        EXPECT_TRUE(is_near(at::cat(outputs, 1), whole, 1e-5));
    }
}

TEST(Mamba2Step, LeavesTheStatesOfAWholeText) {
    const at::NoGradGuard no_gradients;
    for (const Mamba2Spec& spec : specs()) {
        const Mamba2Layer layer = random_layer(spec, 32);
        const at::Tensor x = at::randn({1, 70, 32});
        LayerState by_steps;
        LayerState at_once;
        LayerState* state = &by_steps;
        for (std::int64_t t = 0; t < x.size(1); ++t) {
            mix(layer, x.narrow(1, t, 1), {}, {&state, 1});
        }
        state = &at_once;
        mix(layer, x, {}, {&state, 1});
        EXPECT_TRUE(is_near(by_steps.recurrent, at_once.recurrent, 1e-5));
        EXPECT_TRUE(by_steps.past.allclose(at_once.past, 1e-5, 1e-5));
    }
}

}  // namespace
}  // namespace anamnesis::runtime
