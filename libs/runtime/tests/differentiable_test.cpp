// SPDX-License-Identifier: Apache-2.0
#include "differentiable.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/Reduction.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/runtime/cross_entropy.hpp"

#include "attention.hpp"
#include "cpu_kernels.hpp"
#include "golden.hpp"
#include "norm.hpp"
#include "recurrence.hpp"
#include "rotary.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;

using Inputs = std::vector<at::Tensor>;
using Operator = std::function<at::Tensor(const Inputs&)>;

struct Outcome {
    at::Tensor y{};
    Inputs gradients{};
};

Outcome run(const Operator& f, const Inputs& inputs, at::ScalarType type, const at::Tensor& d_y) {
    Inputs leaves;
    for (const at::Tensor& input : inputs) {
        leaves.push_back(input.to(type).clone().requires_grad_(true));
    }
    const at::Tensor y = f(leaves);
    y.backward(d_y.to(y.scalar_type()).expand_as(y));
    Outcome outcome{.y = y.detach()};
    for (const at::Tensor& leaf : leaves) {
        outcome.gradients.push_back(leaf.grad());
    }
    return outcome;
}

/// In float32 the operator under test; the definition in float64.
void expect_same(const Operator& tested,
                 const Operator& definition,
                 const Inputs& inputs,
                 const at::Tensor& d_y,
                 double tolerance = 2e-6) {
    const Outcome actual = run(tested, inputs, at::kFloat, d_y);
    const Outcome expected = run(definition, inputs, at::kDouble, d_y);
    EXPECT_TRUE(is_near(actual.y, expected.y, tolerance));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        EXPECT_TRUE(is_near(actual.gradients[i], expected.gradients[i], tolerance))
            << "input " << i;
    }
}

TEST(Differentiable, LinearIsTheProduct) {
    for (const std::int64_t rows : {3, 200}) {
        expect_same(
            [](const Inputs& in) {
                return differentiable::linear({.x = in[0], .factor = in[0].detach()}, in[1], in[2]);
            },
            [](const Inputs& in) { return at::linear(in[0], in[1], in[2]); },
            {at::randn({2, rows, 40}), at::randn({33, 40}), at::randn({33})},
            at::randn({2, rows, 33}));
    }
}

TEST(Differentiable, LinearOfBfloat16WeightsIsTheProductToTheirRounding) {
    const at::Tensor exact_x = at::randn({2, 200, 40}, at::kDouble).requires_grad_(true);
    const at::Tensor exact_weight =
        at::randn({33, 40}).to(at::kBFloat16).to(at::kDouble).requires_grad_(true);
    const at::Tensor d_y = at::randn({2, 200, 33}, at::kDouble);
    const at::Tensor exact_y = at::linear(exact_x, exact_weight);
    exact_y.backward(d_y);
    const at::Tensor x = exact_x.detach().to(at::kFloat).requires_grad_(true);
    const at::Tensor weight = exact_weight.detach().to(at::kBFloat16).requires_grad_(true);
    const at::Tensor y =
        differentiable::linear({.x = x, .factor = x.detach().to(at::kBFloat16)}, weight, {});
    y.backward(d_y.to(at::kFloat));
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    EXPECT_EQ(x.grad().scalar_type(), at::kFloat);
    EXPECT_EQ(weight.grad().scalar_type(), at::kBFloat16);
    EXPECT_TRUE(is_near(y, exact_y, 6e-3));
    EXPECT_TRUE(is_near(x.grad(), exact_x.grad(), 6e-3));
    EXPECT_TRUE(is_near(weight.grad(), exact_weight.grad(), 6e-3));
}

TEST(Differentiable, RmsNormIsItsDefinition) {
    for (const std::int64_t width : {7, 32, 100}) {
        expect_same([](const Inputs& in) { return differentiable::rms_norm(in[0], in[1], 1e-5); },
                    [](const Inputs& in) {
                        return in[1] * in[0] *
                               at::rsqrt(in[0].square().mean(-1, /*keepdim=*/true) + 1e-5);
                    },
                    {at::randn({3, 700, width}), at::randn({width})},
                    at::randn({3, 700, width}),
                    1e-5);  // the gain's gradient is a sum over all rows
    }
}

TEST(Differentiable, GatesAreTheirDefinitions) {
    // Both ends of the sigmoid.
    const Inputs inputs{at::randn({5, 1001}) * 20.0, at::randn({5, 1001})};
    const at::Tensor d_y = at::randn({5, 1001});
    expect_same([](const Inputs& in) { return differentiable::swiglu(in[0], in[1]); },
                [](const Inputs& in) { return at::silu(in[0]) * in[1]; },
                inputs,
                d_y);
    expect_same([](const Inputs& in) { return differentiable::gated(in[1], in[0]); },
                [](const Inputs& in) { return in[1] * at::sigmoid(in[0]); },
                inputs,
                d_y);
}

TEST(Differentiable, RotationTurnsBack) {
    // Of 20 values of a head 12 turn.
    RotarySpec spec{.dimensions = 12};
    for (int j = 0; j < 6; ++j) {
        spec.frequencies.push_back(std::pow(100.0, -j / 6.0));
    }
    const at::Tensor x = at::randn({2, 9, 3, 20});
    const std::vector<std::int64_t> starts{0, 4};
    const auto rotated = [&](const Inputs& in) {
        return rotate(in[0],
                      make_tables(positions_from(starts, 9, at::kCPU),
                                  make_frequencies(spec, in[0].options()),
                                  spec.magnitude));
    };
    expect_same(rotated, rotated, {x}, at::randn_like(x));
}

TEST(Differentiable, LightningIsTheRecurrenceTokenByToken) {
    const at::Tensor decay = -at::rand({3}, at::kDouble) * 0.5;
    for (const std::int64_t length : {1, 5, 64, 65, 200}) {
        for (const auto& [keys, values] : {std::pair{32, 32}, std::pair{20, 24}}) {
            const auto input = [&](const Inputs& in) {
                return Recurrence{.q = in[0],
                                  .k = in[1],
                                  .v = in[2],
                                  .decay = decay.to(in[0].scalar_type()),
                                  .scale = 0.3};
            };
            expect_same([&](const Inputs& in) { return differentiable::lightning(input(in)); },
                        [&](const Inputs& in) { return naive_recurrence(input(in)).output; },
                        {at::randn({2, length, 3, keys}),
                         at::randn({2, length, 3, keys}),
                         at::randn({2, length, 3, values})},
                        at::randn({2, length, 3, values}));
        }
    }
}

/// The loss by all logits at once.
at::Tensor define_loss(const at::Tensor& hidden,
                       const LogitHead& head,
                       const at::Tensor& targets,
                       const at::Tensor& weights) {
    const std::optional<at::Tensor> bias =
        head.bias.defined() ? std::optional(head.bias) : std::nullopt;
    at::Tensor logits = at::linear(hidden, head.weight, bias) * head.scale;
    if (head.softcap) {
        logits = at::tanh(logits / *head.softcap) * *head.softcap;
    }
    const at::Tensor each =
        at::cross_entropy_loss(logits, targets, std::nullopt, at::Reduction::None);
    return weights.defined() ? (each * weights).sum() : each.sum();
}

struct HeadCase {
    std::int64_t rows = 0;
    std::int64_t classes = 0;
    double scale = 1.0;
    std::optional<double> softcap{};
    bool is_weighted = false;
    bool has_bias = false;
};

TEST(CrossEntropy, OfAHeadIsThatOfItsLogits) {
    // The last has more rows than one piece.
    for (const HeadCase& one :
         {HeadCase{.rows = 700, .classes = 37},
          HeadCase{.rows = 90, .classes = 37, .is_weighted = true},
          HeadCase{.rows = 5, .classes = 300, .scale = 0.25},
          HeadCase{.rows = 80, .classes = 65, .scale = 3.0, .softcap = 4.0},
          HeadCase{.rows = 700, .classes = 37, .scale = 2.0, .has_bias = true},
          HeadCase{.rows = 300, .classes = 70'000, .is_weighted = true}}) {
        const at::Tensor targets = at::randint(one.classes, {one.rows}, at::kLong);
        const at::Tensor weights = one.is_weighted ? at::rand({one.rows}) : at::Tensor();
        const auto head = [&](const Inputs& in) {
            return LogitHead{.weight = in[1],
                             .bias = one.has_bias ? in[2] : at::Tensor(),
                             .scale = one.scale,
                             .softcap = one.softcap};
        };
        const Operator definition = [&](const Inputs& in) {
            return define_loss(in[0], head(in), targets, weights);
        };
        const Operator tested = [&](const Inputs& in) {
            return summed_cross_entropy(in[0], head(in), targets, weights);
        };
        Inputs inputs{at::randn({one.rows, 12}), at::randn({one.classes, 12})};
        if (one.has_bias) {
            inputs.push_back(at::randn({one.classes}));
        }
        const at::Tensor d_y = at::randn({});
        // Sums over many classes.
        expect_same(tested, definition, inputs, d_y, 1e-5);
        // Where no kernel of ours runs.
        const Outcome actual = run(tested, inputs, at::kDouble, d_y);
        const Outcome expected = run(definition, inputs, at::kDouble, d_y);
        EXPECT_TRUE(is_near(actual.y, expected.y, 1e-12));
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            EXPECT_TRUE(is_near(actual.gradients[i], expected.gradients[i], 1e-12));
        }
        const auto with_gradients = run(tested, inputs, at::kFloat, d_y).y.item<double>();
        const at::NoGradGuard no_gradients;
        EXPECT_EQ(tested(inputs).item<double>(), with_gradients);
    }
}

struct AttentionCase {
    std::int64_t length = 0;
    std::int64_t dim = 0;
    std::int64_t heads = 0;
    std::int64_t kv_heads = 0;
    std::optional<std::int64_t> window{};
};

// A tile and less, blocks of keys with a rest, odd lengths; lanes with a rest; windows that end
// within a tile, a block and a pair.
TEST(Differentiable, AttentionIsItsDefinitionToTheRoundingOfItsFactors) {
    if (!cpu::has_bf16_products()) {
        GTEST_SKIP() << "this processor does not multiply bfloat16";
    }
    for (const AttentionCase& one : {AttentionCase{1, 16, 1, 1, {}},
                                     AttentionCase{9, 16, 2, 1, {}},
                                     AttentionCase{64, 48, 2, 2, {}},
                                     AttentionCase{65, 32, 3, 1, 1},
                                     AttentionCase{131, 80, 2, 1, 67},
                                     AttentionCase{300, 64, 4, 2, {}},
                                     AttentionCase{333, 128, 2, 2, 130}}) {
        SCOPED_TRACE(one.length);
        const at::Tensor d_y = at::randn({2, one.length, one.heads, one.dim}, at::kDouble);
        const Inputs inputs{at::randn({2, one.length, one.heads, one.dim}, at::kDouble),
                            at::randn({2, one.length, one.kv_heads, one.dim}, at::kDouble),
                            at::randn({2, one.length, one.kv_heads, one.dim}, at::kDouble)};
        const Outcome exact = run(
            [&](const Inputs& in) {
                return attend_within(in[0], in[1], in[2], {.window = one.window});
            },
            inputs,
            at::kDouble,
            d_y);
        ASSERT_TRUE(differentiable::can_attend(inputs[0].to(at::kFloat).requires_grad_(true),
                                               inputs[2].to(at::kFloat)));
        const Outcome tested = run(
            [&](const Inputs& in) {
                return differentiable::attend(in[0], in[1], in[2], one.window);
            },
            inputs,
            at::kFloat,
            d_y);
        EXPECT_TRUE(is_near(tested.y, exact.y, 6e-3));
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            // The gradients by the only key that is seen are nought.
            const bool is_nought = one.length == 1 || (one.window == 1);
            if (!is_nought || i == 2) {
                EXPECT_TRUE(is_near(tested.gradients[i], exact.gradients[i], 1e-2)) << i;
            } else {
                EXPECT_LT(tested.gradients[i].abs().max().item<double>(), 0.2) << i;
            }
        }
    }
}

TEST(Differentiable, SwiGluFeedForwardIsItsDefinitionToTheRoundingOfItsFactors) {
    const auto make = [](at::IntArrayRef sizes) {
        return (0.2 * at::randn(sizes, at::kDouble)).to(at::kBFloat16);
    };
    const Inputs weights{make({50, 40}), make({50, 40}), make({40, 50})};
    const at::Tensor x = at::randn({2, 30, 40}, at::kDouble);
    const at::Tensor d_y = at::randn({2, 30, 40}, at::kDouble);
    const auto leaves = [&](at::ScalarType x_type, at::ScalarType weight_type) {
        Inputs all{x.to(x_type).clone().requires_grad_(true)};
        for (const at::Tensor& weight : weights) {
            all.push_back(weight.to(weight_type).clone().requires_grad_(true));
        }
        return all;
    };
    const Inputs exact = leaves(at::kDouble, at::kDouble);
    const at::Tensor expected = at::linear(
        at::silu(at::linear(exact[0], exact[1])) * at::linear(exact[0], exact[2]), exact[3]);
    expected.backward(d_y);
    const Inputs tested = leaves(at::kFloat, at::kBFloat16);
    const at::Tensor y = differentiable::swiglu_feed_forward(
        {.x = tested[0], .factor = tested[0].detach().to(at::kBFloat16)},
        tested[1],
        tested[2],
        tested[3]);
    y.backward(d_y.to(at::kFloat));
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    EXPECT_TRUE(is_near(y, expected, 1e-2));
    for (std::size_t i = 0; i < exact.size(); ++i) {
        EXPECT_EQ(tested[i].grad().scalar_type(), tested[i].scalar_type());
        EXPECT_TRUE(is_near(tested[i].grad(), exact[i].grad(), 1e-2)) << i;
    }
}

TEST(CrossEntropy, OfRoundedFactorsIsItsDefinitionToTheirRounding) {
    const at::Tensor targets = at::randint(300, {70}, at::kLong);
    const at::Tensor exact = at::randn({70, 64}, at::kDouble).requires_grad_(true);
    const at::Tensor weight =
        (0.3 * at::randn({300, 64}, at::kDouble)).to(at::kBFloat16).requires_grad_(true);
    const at::Tensor exact_weight = weight.detach().to(at::kDouble).requires_grad_(true);
    const at::Tensor expected = summed_cross_entropy(exact, {.weight = exact_weight}, targets, {});
    expected.backward();
    for (const bool rounds : {false, true}) {
        weight.mutable_grad().reset();
        const at::Tensor hidden = exact.detach().to(at::kFloat).requires_grad_(true);
        const at::Tensor sum = summed_cross_entropy(
            hidden, {.weight = weight, .rounds_in_training = rounds}, targets, {});
        sum.backward();
        const double tolerance = rounds ? 1e-2 : 1e-5;
        EXPECT_NEAR(sum.item<double>() / expected.item<double>(), 1.0, rounds ? 2e-3 : 1e-6);
        EXPECT_TRUE(is_near(hidden.grad(), exact.grad(), tolerance));
        // Rounded to the weight's type in either form.
        EXPECT_TRUE(is_near(weight.grad(), exact_weight.grad(), 1e-2));
        EXPECT_EQ(weight.grad().scalar_type(), at::kBFloat16);
    }
}

TEST(CrossEntropy, GivesAGradientToWhatWantsOne) {
    const at::Tensor targets = at::randint(9, {20}, at::kLong);
    const at::Tensor hidden = at::randn({20, 4}).requires_grad_(true);
    const at::Tensor weight = at::randn({9, 4});
    summed_cross_entropy(hidden, {.weight = weight}, targets, {}).backward();
    EXPECT_TRUE(hidden.grad().defined());
    EXPECT_FALSE(weight.grad().defined());
    const at::Tensor narrow = weight.to(at::kBFloat16).requires_grad_(true);
    const at::Tensor sum = summed_cross_entropy(hidden.detach(), {.weight = narrow}, targets, {});
    sum.backward({}, /*retain_graph=*/true);
    EXPECT_EQ(narrow.grad().scalar_type(), at::kBFloat16);
    EXPECT_THROW(sum.backward(), Error);
}

}  // namespace
}  // namespace anamnesis::runtime
