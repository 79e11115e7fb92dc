// SPDX-License-Identifier: Apache-2.0
#include "recurrence.hpp"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <gtest/gtest.h>

#include "golden.hpp"
#include "norm.hpp"

namespace anamnesis::runtime {
namespace {

using testing::is_near;
using testing::read_tensors;

using Form = RecurrenceResult (*)(const Recurrence&);

/// One token after the other through the in-place kernel.
RecurrenceResult by_steps(const Recurrence& input) {
    Recurrence step = input;
    if (step.state.defined()) {
        step.state = step.state.clone();
    }
    std::vector<at::Tensor> outputs;
    for (std::int64_t t = 0; t < input.q.size(1); ++t) {
        const auto cut = [&](const at::Tensor& x) { return x.narrow(1, t, 1); };
        step.q = cut(input.q);
        step.k = cut(input.k);
        step.v = cut(input.v);
        step.decay = input.decay.dim() == 1 ? input.decay : cut(input.decay);
        step.beta = input.beta.defined() ? cut(input.beta) : input.beta;
        const RecurrenceResult result = step_recurrence(step);
        step.state = result.state;
        outputs.push_back(result.output);
    }
    return {.output = at::cat(outputs, 1), .state = step.state};
}

struct NamedForm {
    std::string name;
    Form form;
};

void PrintTo(const NamedForm& form, std::ostream* stream) {
    *stream << form.name;
}

struct RecurrenceForm : ::testing::TestWithParam<NamedForm> {
    RecurrenceResult run(const Recurrence& input) const { return GetParam().form(input); }
};

INSTANTIATE_TEST_SUITE_P(Forms,
                         RecurrenceForm,
                         ::testing::Values(NamedForm{"naive", naive_recurrence},
                                           NamedForm{"chunked", chunked_recurrence},
                                           NamedForm{"step", by_steps}),
                         [](const auto& instance) { return instance.param.name; });

testing::Tensors mixer_golden(const std::string& name) {
    return read_tensors(testing::golden_model("mixers") / (name + ".safetensors"));
}

/// Cases of gated_delta.safetensors; the second tells whether q and k are normalised inside.
const std::vector<std::pair<std::string, bool>> gated_delta_cases{{"plain", true},
                                                                  {"grouped_state", true},
                                                                  {"no_l2norm", false},
                                                                  {"beta_to_two", true},
                                                                  {"strong_decay", true},
                                                                  {"no_decay", true},
                                                                  {"one_token", true},
                                                                  {"chunk_exact", true},
                                                                  {"chunk_plus_one", true}};

Recurrence gated_delta_input(const testing::Tensors& golden,
                             const std::string& name,
                             bool is_normalised,
                             at::ScalarType type) {
    const auto at = [&](const std::string& key) { return golden.at(name + "." + key).to(type); };
    const auto shared = [&](const std::string& key) {
        const at::Tensor x = is_normalised ? l2_normalised(at(key)) : at(key);
        return x.repeat_interleave(golden.at(name + ".v").size(2) / x.size(2), 2);
    };
    const at::Tensor v = at("v");
    return {.q = shared("q"),
            .k = shared("k"),
            .v = v,
            .decay = at("g"),
            .beta = at("beta"),
            .state = golden.contains(name + ".initial_state") ? at("initial_state") : at::Tensor(),
            .scale = 1.0 / std::sqrt(static_cast<double>(golden.at(name + ".q").size(3)))};
}

TEST_P(RecurrenceForm, FollowsTheGatedDeltaReference) {
    const testing::Tensors golden = mixer_golden("gated_delta");
    for (const auto& [name, is_normalised] : gated_delta_cases) {
        const RecurrenceResult result =
            run(gated_delta_input(golden, name, is_normalised, at::kFloat));
        // The difference of two running sums of several hundred loses digits in chunks.
        const double tolerance = name == "strong_decay" ? 1e-5 : 1e-6;
        EXPECT_TRUE(is_near(result.output, golden.at(name + ".output"), tolerance)) << name;
        EXPECT_TRUE(is_near(result.state, golden.at(name + ".final_state"), tolerance)) << name;
    }
}

TEST_P(RecurrenceForm, FollowsTheLightningReference) {
    const testing::Tensors golden = mixer_golden("lightning");
    for (const std::string prefix : {"", "h0."}) {
        const RecurrenceResult result =
            run({.q = golden.at("q"),
                 .k = golden.at("k"),
                 .v = golden.at("v"),
                 .decay = golden.at("g"),
                 .state = prefix.empty() ? at::Tensor() : golden.at("h0"),
                 .scale = 0.25});
        EXPECT_TRUE(is_near(result.output, golden.at(prefix + "o"), 1e-6));
        EXPECT_TRUE(is_near(result.state, golden.at(prefix + "final_state"), 1e-6));
    }
}

TEST_P(RecurrenceForm, FollowsTheJetReference) {
    const testing::Tensors golden = mixer_golden("jetblock");
    for (const std::string prefix : {"", "h0."}) {
        const RecurrenceResult result =
            run({.q = l2_normalised(golden.at("q")),
                 .k = l2_normalised(golden.at("k")),
                 .v = golden.at("v"),
                 .decay = golden.at("g"),
                 .beta = golden.at("beta"),
                 .state = prefix.empty() ? at::Tensor() : golden.at("h0"),
                 .scale = 0.25});
        EXPECT_TRUE(is_near(result.output, golden.at(prefix + "o"), 1e-6));
        EXPECT_TRUE(is_near(result.state, golden.at(prefix + "final_state"), 1e-6));
    }
}

/// Forms that gradients flow through; in float64 they must meet the rounded goldens.
struct DifferentiableForm : RecurrenceForm {};

INSTANTIATE_TEST_SUITE_P(Forms,
                         DifferentiableForm,
                         ::testing::Values(NamedForm{"naive", naive_recurrence},
                                           NamedForm{"chunked", chunked_recurrence}),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(DifferentiableForm, HasTheGradientsOfTheGatedDeltaReference) {
    const testing::Tensors golden = mixer_golden("gated_delta");
    for (const auto& [name, is_normalised] : gated_delta_cases) {
        testing::Tensors leaves;
        testing::Tensors watched = golden;
        for (const std::string key : {"q", "k", "v", "g", "beta", "initial_state"}) {
            if (const auto found = watched.find(name + "." + key); found != watched.end()) {
                found->second = found->second.to(at::kDouble).requires_grad_(true);
                leaves[key] = found->second;
            }
        }
        const RecurrenceResult result =
            run(gated_delta_input(watched, name, is_normalised, at::kDouble));
        ((result.output * golden.at(name + ".d_output")).sum() +
         (result.state * golden.at(name + ".d_final_state")).sum())
            .backward();
        for (const auto& [key, leaf] : leaves) {
            EXPECT_TRUE(is_near(leaf.grad(), golden.at(name + ".grad." + key), 1e-6))
                << name << " " << key;
        }
    }
}

TEST_P(DifferentiableForm, HasTheGradientsOfTheLightningReference) {
    const testing::Tensors golden = mixer_golden("lightning");
    const auto leaf = [&](const std::string& key) {
        return golden.at(key).to(at::kDouble).requires_grad_(true);
    };
    const Recurrence input{.q = leaf("q"),
                           .k = leaf("k"),
                           .v = leaf("v"),
                           .decay = golden.at("g").to(at::kDouble),
                           .state = leaf("h0"),
                           .scale = 0.25};
    const RecurrenceResult result = run(input);
    ((result.output * golden.at("do")).sum() + (result.state * golden.at("dht")).sum()).backward();
    EXPECT_TRUE(is_near(input.q.grad(), golden.at("h0.dq"), 1e-6));
    EXPECT_TRUE(is_near(input.k.grad(), golden.at("h0.dk"), 1e-6));
    EXPECT_TRUE(is_near(input.v.grad(), golden.at("h0.dv"), 1e-6));
    EXPECT_TRUE(is_near(input.state.grad(), golden.at("h0.dh0"), 1e-6));
}

TEST_P(DifferentiableForm, HasTheGradientsOfTheJetReference) {
    const testing::Tensors golden = mixer_golden("jetblock");
    const auto leaf = [&](const std::string& key) {
        return golden.at(key).to(at::kDouble).requires_grad_(true);
    };
    const at::Tensor q = leaf("q");
    const at::Tensor k = leaf("k");
    const Recurrence input{.q = l2_normalised(q),
                           .k = l2_normalised(k),
                           .v = leaf("v"),
                           .decay = leaf("g"),
                           .beta = leaf("beta"),
                           .state = leaf("h0"),
                           .scale = 0.25};
    const RecurrenceResult result = run(input);
    ((result.output * golden.at("do")).sum() + (result.state * golden.at("dht")).sum()).backward();
    EXPECT_TRUE(is_near(q.grad(), golden.at("h0.dq"), 1e-6));
    EXPECT_TRUE(is_near(k.grad(), golden.at("h0.dk"), 1e-6));
    EXPECT_TRUE(is_near(input.v.grad(), golden.at("h0.dv"), 1e-6));
    EXPECT_TRUE(is_near(input.decay.grad(), golden.at("h0.dg"), 1e-6));
    EXPECT_TRUE(is_near(input.beta.grad(), golden.at("h0.dbeta"), 1e-6));
    EXPECT_TRUE(is_near(input.state.grad(), golden.at("h0.dh0"), 1e-6));
}

/// Random input of odd sizes: 3 heads of 5 x 7, two texts.
Recurrence random_input(std::int64_t length, bool corrects, at::ScalarType type) {
    const auto random = [&](std::int64_t width) {
        return at::randn({2, length, 3, width}, at::TensorOptions().dtype(type));
    };
    const auto gate = [&] { return at::rand({2, length, 3}, at::TensorOptions().dtype(type)); };
    return {.q = random(5),
            .k = l2_normalised(random(5)),
            .v = random(7),
            .decay = -gate(),
            .beta = corrects ? gate() : at::Tensor(),
            .state = at::randn({2, 3, 5, 7}, at::TensorOptions().dtype(type)),
            .scale = 0.4};
}

TEST(Recurrence, FormsAgreeAtAnyLength) {
    for (const bool corrects : {false, true}) {
        for (const std::int64_t length : {1, 2, 63, 64, 65, 128, 200}) {
            const Recurrence input = random_input(length, corrects, at::kFloat);
            const RecurrenceResult exact = naive_recurrence(input);
            for (const Form form : {chunked_recurrence, &by_steps}) {
                const RecurrenceResult result = form(input);
                EXPECT_TRUE(is_near(result.output, exact.output, 2e-6)) << length;
                EXPECT_TRUE(is_near(result.state, exact.state, 2e-6)) << length;
            }
        }
    }
}

TEST(Recurrence, GradientsMeetFiniteDifferences) {
    for (const bool corrects : {false, true}) {
        Recurrence input = random_input(70, corrects, at::kDouble);
        std::vector<at::Tensor*> leaves{&input.q, &input.k, &input.v, &input.decay, &input.state};
        if (corrects) {
            leaves.push_back(&input.beta);
        }
        const at::Tensor weight = at::randn({2, 70, 3, 7}, at::kDouble);
        const auto loss = [&] {
            const RecurrenceResult result = chunked_recurrence(input);
            return (result.output * weight).sum() + result.state.sum();
        };
        std::vector<at::Tensor> gradients;
        for (at::Tensor* leaf : leaves) {
            leaf->requires_grad_(true);
        }
        loss().backward();
        for (at::Tensor* leaf : leaves) {
            gradients.push_back(leaf->grad());
        }
        const at::NoGradGuard no_gradients;
        for (std::size_t i = 0; i < leaves.size(); ++i) {
            const at::Tensor start = *leaves[i];
            const at::Tensor direction = at::randn_like(start);
            constexpr double step = 1e-6;
            *leaves[i] = start + direction * step;
            const double above = loss().item<double>();
            *leaves[i] = start - direction * step;
            const double below = loss().item<double>();
            *leaves[i] = start;
            const double slope = (gradients[i] * direction).sum().item<double>();
            EXPECT_NEAR(slope, (above - below) / (2.0 * step), 1e-6 * (1.0 + std::abs(slope)));
        }
    }
}

TEST(Recurrence, StrongDecayGivesNoNan) {
    Recurrence input = random_input(130, true, at::kFloat);
    input.decay = input.decay * 400.0;
    EXPECT_TRUE(chunked_recurrence(input).output.isfinite().all().item<bool>());
}

}  // namespace
}  // namespace anamnesis::runtime
