// SPDX-License-Identifier: Apache-2.0
#include "gated_delta_step.hpp"

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "convolution.hpp"
#include "golden.hpp"
#include "layer.hpp"
#include "norm.hpp"
#include "recurrence.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;

/// Odd sizes: 2 key heads of 5, 6 value heads of 7, three taps.
constexpr checkpoint::GatedDeltaSpec spec{.key_heads = 2,
                                          .value_heads = 6,
                                          .key_dim = 5,
                                          .value_dim = 7,
                                          .conv_width = 3,
                                          .beta_range = 2.0};
constexpr std::int64_t channels = 2 * 2 * 5 + 6 * 7;
/// Of keys of 5 values some are nearly at right angles to a query; the norm after them enlarges the
/// rounding of that product up to a thousandfold, in LibTorch's operators as well.
constexpr double tolerance = 1e-4;

GatedDeltaLayer random_layer() {
    return {.spec = spec,
            .kernels = {at::randn({channels, 1, 3})},
            .log_rate = at::randn({6}),
            .dt_bias = at::randn({6}),
            .norm = {.gain = at::randn({7}), .eps = 1e-6}};
}

DeltaInputs random_inputs(std::int64_t sequences) {
    return {.mixed = at::randn({sequences, 1, channels}),
            .z = at::randn({sequences, 1, 6, 7}),
            .b = at::randn({sequences, 1, 6}),
            .a = at::randn({sequences, 1, 6}) * 15.0};
}

/// One sequence, operator by operator in float64.
at::Tensor naive(const GatedDeltaLayer& layer, const DeltaInputs& inputs, LayerState& state) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
    const ConvolutionResult convolved =
        convolve(wide(inputs.mixed), wide(join_kernels(layer)), wide(state.past));
    const at::Tensor mixed = at::silu(convolved.output);
    const auto keys = [&](std::int64_t first) {
        return l2_normalised(mixed.narrow(-1, first, 10).view({1, 1, 2, 5}))
            .repeat_interleave(3, 2);
    };
    const RecurrenceResult result = naive_recurrence(
        {.q = keys(0),
         .k = keys(10),
         .v = mixed.narrow(-1, 20, 42).view({1, 1, 6, 7}),
         .decay = -at::exp(wide(layer.log_rate)) * at::softplus(wide(inputs.a + layer.dt_bias)),
         .beta = at::sigmoid(wide(inputs.b)) * 2.0,
         .state = wide(state.recurrent),
         .scale = 1.0 / std::sqrt(5.0)});
    state.past = convolved.past;
    state.recurrent = result.state;
    const RmsNorm norm{.gain = wide(layer.norm.gain), .eps = layer.norm.eps};
    return (apply(norm, result.output) * at::silu(wide(inputs.z))).view({1, 1, 42});
}

TEST(GatedDeltaStep, EqualsItsOperatorsOneByOne) {
    const at::NoGradGuard no_gradients;
    const GatedDeltaLayer layer = random_layer();
    std::vector<LayerState> states(3);
    std::vector<LayerState*> pointers;
    for (LayerState& state : states) {
        state = {.recurrent = at::randn({1, 6, 5, 7}), .past = at::randn({1, 2, channels})};
        pointers.push_back(&state);
    }
    std::vector<LayerState> expected = states;
    for (int token = 0; token < 4; ++token) {
        const DeltaInputs inputs = random_inputs(3);
        std::vector<at::Tensor> rows;
        for (std::int64_t s = 0; s < 3; ++s) {
            const auto row = [&](const at::Tensor& x) { return x.narrow(0, s, 1); };
            rows.push_back(naive(layer,
                                 {.mixed = row(inputs.mixed),
                                  .z = row(inputs.z),
                                  .b = row(inputs.b),
                                  .a = row(inputs.a)},
                                 expected[static_cast<std::size_t>(s)]));
        }
        ASSERT_TRUE(can_step_gated_delta(inputs, pointers));
        EXPECT_TRUE(is_near(step_gated_delta(layer, inputs, pointers), at::cat(rows), tolerance));
    }
    for (std::size_t s = 0; s < 3; ++s) {
        EXPECT_TRUE(is_near(states[s].recurrent, expected[s].recurrent, 5e-6));
        EXPECT_TRUE(is_near(states[s].past, expected[s].past, 1e-7));
    }
}

TEST(GatedDeltaStep, StartsFromZero) {
    const at::NoGradGuard no_gradients;
    const GatedDeltaLayer layer = random_layer();
    const DeltaInputs inputs = random_inputs(1);
    LayerState zero{.recurrent = at::zeros({1, 6, 5, 7}), .past = at::zeros({1, 2, channels})};
    LayerState none;
    LayerState* pointer = &none;
    const DeltaInputs copy{
        .mixed = inputs.mixed, .z = inputs.z.clone(), .b = inputs.b, .a = inputs.a};
    EXPECT_TRUE(is_near(step_gated_delta(layer, copy, std::span(&pointer, 1)),
                        naive(layer, inputs, zero),
                        tolerance));
}

}  // namespace
}  // namespace anamnesis::runtime
