// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "anamnesis/base/text.hpp"

#include "convolution.hpp"
#include "golden.hpp"
#include "kimi_delta_step.hpp"
#include "layer.hpp"
#include "norm.hpp"
#include "recurrence.hpp"
#include "recurrent_parts.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;
using testing::read_tensors;

testing::Tensors read_golden() {
    return read_tensors(testing::golden_model("mixers") / "kda.safetensors");
}

const std::vector<std::string> cases{"plain",
                                     "state",
                                     "wide_value",
                                     "strong_decay",
                                     "uneven_decay",
                                     "no_decay",
                                     "one_token",
                                     "chunk_exact",
                                     "chunk_plus_one"};

Recurrence make_input(const testing::Tensors& golden,
                      const std::string& name,
                      at::ScalarType type) {
    const auto at = [&](const std::string& key) { return golden.at(name + "." + key).to(type); };
    return {.q = l2_normalised(at("q")),
            .k = l2_normalised(at("k")),
            .v = at("v"),
            .decay = at("g"),
            .beta = at("beta"),
            .state = golden.contains(name + ".initial_state") ? at("initial_state") : at::Tensor(),
            .scale = 1.0 / std::sqrt(static_cast<double>(golden.at(name + ".q").size(3)))};
}

/// `piece` tokens at a time, from state to state.
RecurrenceResult run_in_pieces(const Recurrence& input, std::int64_t piece) {
    Recurrence part = input;
    if (part.state.defined()) {
        part.state = part.state.clone();
    }
    std::vector<at::Tensor> outputs;
    for (std::int64_t first = 0; first < input.q.size(1); first += piece) {
        const std::int64_t count = std::min(piece, input.q.size(1) - first);
        const auto cut = [&](const at::Tensor& x) { return x.narrow(1, first, count); };
        part.q = cut(input.q);
        part.k = cut(input.k);
        part.v = cut(input.v);
        part.decay = cut(input.decay);
        part.beta = cut(input.beta);
        const RecurrenceResult result = run_recurrence(part);
        part.state = result.state;
        outputs.push_back(result.output);
    }
    return {.output = at::cat(outputs, 1), .state = part.state};
}

TEST(KimiDelta, FollowsTheReferenceWholeInPiecesAndTokenByToken) {
    const testing::Tensors golden = read_golden();
    for (const std::string& name : cases) {
        for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
            const Recurrence input = make_input(golden, name, type);
            const auto follows = [&](const RecurrenceResult& result, const std::string& form) {
                EXPECT_TRUE(is_near(result.output, golden.at(name + ".output"), 1e-6))
                    << name << " " << form;
                EXPECT_TRUE(is_near(result.state, golden.at(name + ".final_state"), 1e-6))
                    << name << " " << form;
            };
            follows(naive_recurrence(input), "naive");
            follows(chunked_recurrence(input), "chunked");
            for (const std::int64_t piece : {1, 7, 16, 17, 64, 65}) {
                follows(run_in_pieces(input, piece), std::to_string(piece));
            }
        }
    }
}

/// Loss of the golden's upstream gradients.
at::Tensor compute_loss(const testing::Tensors& golden,
                        const std::string& name,
                        const RecurrenceResult& result) {
    return (result.output * golden.at(name + ".d_output")).sum() +
           (result.state * golden.at(name + ".d_final_state")).sum();
}

TEST(KimiDelta, HasTheGradientsOfTheReference) {
    const testing::Tensors golden = read_golden();
    for (const auto& [type, tolerance] :
         {std::pair{at::kDouble, 1e-6}, std::pair{at::kFloat, 1e-5}}) {
        for (const std::string& name : cases) {
            for (const auto form : {naive_recurrence, chunked_recurrence}) {
                testing::Tensors leaves;
                testing::Tensors watched = golden;
                for (const std::string key : {"q", "k", "v", "g", "beta", "initial_state"}) {
                    if (const auto found = watched.find(name + "." + key); found != watched.end()) {
                        found->second = found->second.to(type, false, true).requires_grad_(true);
                        leaves[key] = found->second;
                    }
                }
                compute_loss(golden, name, form(make_input(watched, name, type))).backward();
                for (const auto& [key, leaf] : leaves) {
                    EXPECT_TRUE(is_near(leaf.grad(), golden.at(name + ".grad." + key), tolerance))
                        << name << " " << key;
                }
            }
        }
    }
}

TEST(KimiDelta, ChunksOfAnyLengthFollowTheDefinition) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
        for (const std::int64_t length : {1, 15, 16, 17, 63, 64, 65, 128, 200}) {
            const auto options = at::TensorOptions().dtype(type);
            const auto random = [&](std::int64_t width) {
                return at::randn({2, length, 3, width}, options);
            };
            const Recurrence input{.q = random(18),
                                   .k = l2_normalised(random(18)),
                                   .v = random(21),
                                   .decay = -at::rand({2, length, 3, 18}, options) * 3.0,
                                   .beta = at::rand({2, length, 3}, options),
                                   .state = at::randn({2, 3, 18, 21}, options),
                                   .scale = 0.4};
            const RecurrenceResult exact = naive_recurrence(input);
            const RecurrenceResult result = chunked_recurrence(input);
            EXPECT_TRUE(is_near(result.output, exact.output, 2e-6)) << length;
            EXPECT_TRUE(is_near(result.state, exact.state, 2e-6)) << length;
        }
    }
}

TEST(KimiDelta, StrongDecaysGiveNoNan) {
    for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
        const auto options = at::TensorOptions().dtype(type);
        Recurrence input{.q = at::randn({1, 130, 2, 8}, options),
                         .k = l2_normalised(at::randn({1, 130, 2, 8}, options)),
                         .v = at::randn({1, 130, 2, 8}, options),
                         .decay = -at::rand({1, 130, 2, 8}, options) * 400.0,
                         .beta = at::rand({1, 130, 2}, options)};
        input.decay.requires_grad_(true);
        const RecurrenceResult result = chunked_recurrence(input);
        EXPECT_TRUE(result.output.isfinite().all().item<bool>());
        result.output.sum().backward();
        EXPECT_TRUE(input.decay.grad().isfinite().all().item<bool>());
    }
}

TEST(KimiDelta, MakesDecaysAndGatesAsTheReference) {
    const testing::Tensors golden = read_golden();
    for (const auto& [name, bound] : {std::pair{"gate_softplus", std::optional<double>()},
                                      std::pair{"gate_safe", std::optional(-5.0)}}) {
        const auto at = [&](const std::string& key) {
            return golden.at(format("{}.{}", name, key));
        };
        const at::Tensor f = at("f");
        const at::Tensor g = make_channel_log_decay(
            f.view({1, f.size(-3), f.size(-2), f.size(-1)}), at("A_log"), at("dt_bias"), bound);
        EXPECT_TRUE(is_near(g.view(at("g").sizes()), at("g"), 1e-6)) << name;
    }
    const RmsNorm norm{.gain = golden.at("norm_sigmoid.weight"), .eps = 1e-5};
    EXPECT_TRUE(
        is_near(gated(apply(norm, golden.at("norm_sigmoid.o")), golden.at("norm_sigmoid.z")),
                golden.at("norm_sigmoid.output"),
                1e-6));
}

/// Odd sizes: 3 heads of 18, three taps.
KimiDeltaLayer random_layer(const std::optional<double>& lower_bound) {
    return {.spec = {.heads = 3, .head_dim = 18, .conv_width = 3, .lower_bound = lower_bound},
            .kernels = {at::randn({54, 1, 3}), at::randn({54, 1, 3}), at::randn({54, 1, 3})},
            .log_rate = at::randn({1, 1, 3, 1}),
            .dt_bias = at::randn({54}),
            .norm = {.gain = at::randn({18}), .eps = 1e-5}};
}

KimiDeltaInputs random_inputs(std::int64_t sequences) {
    const auto random = [&] { return at::randn({sequences, 1, 54}); };
    return {.parts = {random(), random(), random()},
            .decay = random() * 8.0,
            .gate = random(),
            .beta = at::randn({sequences, 1, 3})};
}

/// One sequence, operator by operator in float64.
at::Tensor naive_step(const KimiDeltaLayer& layer,
                      const KimiDeltaInputs& inputs,
                      LayerState& state) {
    const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
    std::vector<at::Tensor> heads;
    std::vector<at::Tensor> pasts;
    for (std::size_t i = 0; i < 3; ++i) {
        const ConvolutionResult convolved =
            convolve(wide(inputs.parts[i]),
                     wide(layer.kernels[i].squeeze(1)),
                     wide(state.past.narrow(-1, static_cast<std::int64_t>(i) * 54, 54)));
        heads.push_back(at::silu(convolved.output).view({1, 1, 3, 18}));
        pasts.push_back(convolved.past);
    }
    const RecurrenceResult result =
        naive_recurrence({.q = l2_normalised(heads[0]),
                          .k = l2_normalised(heads[1]),
                          .v = heads[2],
                          .decay = make_channel_log_decay(wide(inputs.decay).view({1, 1, 3, 18}),
                                                          wide(layer.log_rate),
                                                          wide(layer.dt_bias),
                                                          layer.spec.lower_bound),
                          .beta = at::sigmoid(wide(inputs.beta)),
                          .state = wide(state.recurrent),
                          .scale = 1.0 / std::sqrt(18.0)});
    state.past = at::cat(pasts, -1);
    state.recurrent = result.state;
    const RmsNorm norm{.gain = wide(layer.norm.gain), .eps = layer.norm.eps};
    return gated(apply(norm, result.output), wide(inputs.gate).view({1, 1, 3, 18}))
        .view({1, 1, 54});
}

TEST(KimiDeltaStep, EqualsItsOperatorsOneByOne) {
    const at::NoGradGuard no_gradients;
    for (const std::optional<double>& bound : {std::optional<double>(), std::optional(-5.0)}) {
        const KimiDeltaLayer layer = random_layer(bound);
        std::vector<LayerState> states(3);
        std::vector<LayerState*> pointers;
        for (LayerState& state : states) {
            state = {.recurrent = at::randn({1, 3, 18, 18}), .past = at::randn({1, 2, 162})};
            pointers.push_back(&state);
        }
        std::vector<LayerState> expected = states;
        for (int token = 0; token < 4; ++token) {
            const KimiDeltaInputs inputs = random_inputs(3);
            std::vector<at::Tensor> rows;
            for (std::int64_t s = 0; s < 3; ++s) {
                const auto row = [&](const at::Tensor& x) { return x.narrow(0, s, 1); };
                rows.push_back(naive_step(
                    layer,
                    {.parts = {row(inputs.parts[0]), row(inputs.parts[1]), row(inputs.parts[2])},
                     .decay = row(inputs.decay),
                     .gate = row(inputs.gate),
                     .beta = row(inputs.beta)},
                    expected[static_cast<std::size_t>(s)]));
            }
            ASSERT_TRUE(can_step_kimi_delta(inputs, pointers));
            EXPECT_TRUE(is_near(step_kimi_delta(layer, inputs, pointers), at::cat(rows), 2e-6));
        }
        for (std::size_t s = 0; s < 3; ++s) {
            EXPECT_TRUE(is_near(states[s].recurrent, expected[s].recurrent, 2e-6));
            EXPECT_TRUE(is_near(states[s].past, expected[s].past, 1e-7));
        }
    }
}

}  // namespace
}  // namespace anamnesis::runtime
