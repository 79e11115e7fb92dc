// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/schedule.hpp"
#include "anamnesis/train/trainer.hpp"

#include "golden_run.hpp"

namespace anamnesis::train {
namespace {

using testing::expectation;
using testing::golden_folder;
using testing::golden_settings;
using testing::initial_network;
using testing::read_tensors;
using testing::relative_rms;

constexpr Schedule schedule{
    .peak = 1e-3, .decay = Decay::cosine, .steps = 20, .warmup = 5, .min_ratio = 0.1};

struct GoldenRun : ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenRun,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenRun, AgreesStepByStepAndInEveryWeight) {
    struct Precision {
        at::ScalarType type;
        const char* name;
        double figures;
        double update;
    };
    const Json expected = expectation(GetParam());
    const BatchesFile batches(golden_folder(GetParam()) / "batches.safetensors");
    ASSERT_EQ(batches.steps(), 20U);
    const NamedTensors initial = read_tensors(golden_folder(GetParam()) / "initial");
    const NamedTensors final_weights =
        read_tensors(golden_folder(GetParam()) / "final_float64_rounded.safetensors");
    for (const Precision& precision : {Precision{at::kDouble, "float64", 1e-10, 3e-5},
                                       Precision{at::kFloat, "float32", 1e-6, 1e-3}}) {
        SCOPED_TRACE(precision.name);
        const Json& figures = expected.at(precision.name);
        Trainer trainer(initial_network(GetParam(), precision.type), golden_settings());
        for (std::size_t step = 0; step < 20; ++step) {
            const double rate = expected.at("learning_rate").as_array("rates")[step].as_double("r");
            EXPECT_NEAR(schedule.at(step), rate, 1e-15);
            const StepFigures done = trainer.step(batches.batches(step), schedule.at(step));
            const double loss = figures.at("loss").as_array("losses")[step].as_double("loss");
            const double norm =
                figures.at("grad_norm_before_clipping").as_array("norms")[step].as_double("norm");
            EXPECT_NEAR(done.loss, loss, precision.figures * loss) << step;
            EXPECT_NEAR(done.grad_norm, norm, precision.figures * norm) << step;
            EXPECT_EQ(done.supervised,
                      expected.at("supervised_predictions")
                          .as_array("counts")[step]
                          .as_unsigned("count"));
        }
        ASSERT_EQ(trainer.weights().size(), final_weights.size());
        for (const auto& [name, weight] : trainer.weights()) {
            const at::Tensor& goal = final_weights.at(name);
            const at::Tensor start = initial.at(name).to(at::kDouble);
            EXPECT_LE(relative_rms(weight, goal), 1e-5) << name;
            EXPECT_LE(
                relative_rms(weight.detach().to(at::kDouble) - start, goal.to(at::kDouble) - start),
                precision.update)
                << name;
        }
    }
}

TEST_P(GoldenRun, IsTheSameWhenABatchIsDividedIntoParts) {
    const BatchesFile batches(golden_folder(GetParam()) / "batches.safetensors");
    const Batch whole = batches.batches(0).front();
    std::vector<Batch> rows;
    for (std::size_t row = 0; row < whole.rows; ++row) {
        const auto part = [&](const std::vector<std::int64_t>& all) {
            const auto begin = all.begin() + static_cast<std::ptrdiff_t>(row * whole.length);
            return std::vector<std::int64_t>(begin,
                                             begin + static_cast<std::ptrdiff_t>(whole.length));
        };
        rows.push_back({.rows = 1,
                        .length = whole.length,
                        .ids = part(whole.ids),
                        .labels = part(whole.labels)});
    }
    Trainer together(initial_network(GetParam(), at::kDouble), golden_settings());
    Trainer divided(initial_network(GetParam(), at::kDouble), golden_settings());
    const StepFigures one = together.step(std::span(&whole, 1), 1e-3);
    const StepFigures other = divided.step(rows, 1e-3);
    EXPECT_NEAR(one.loss, other.loss, 1e-12);
    EXPECT_NEAR(one.grad_norm, other.grad_norm, 1e-12);
    EXPECT_EQ(one.supervised, other.supervised);
}

TEST_P(GoldenRun, IsTheSameInBitsWhenLayersAreComputedAgain) {
    const BatchesFile batches(golden_folder(GetParam()) / "batches.safetensors");
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        Trainer keeping(initial_network(GetParam(), type), golden_settings());
        Trainer again(initial_network(GetParam(), type, true), golden_settings());
        for (std::uint64_t step = 0; step < 3; ++step) {
            const StepFigures one = keeping.step(batches.batches(step), 1e-3);
            const StepFigures other = again.step(batches.batches(step), 1e-3);
            EXPECT_EQ(one.loss, other.loss);
            EXPECT_EQ(one.grad_norm, other.grad_norm);
        }
        for (const auto& [name, weight] : keeping.weights()) {
            EXPECT_TRUE(weight.equal(again.weights().at(name))) << name;
        }
    }
}

TEST(TrainerInBf16, MovesFloat32MastersAndRoundsThem) {
    const BatchesFile batches(golden_folder("qwen3_5") / "batches.safetensors");
    Trainer exact(initial_network("qwen3_5", at::kFloat), golden_settings());
    Trainer rounded(initial_network("qwen3_5", at::kBFloat16),
                    golden_settings(),
                    initial_network("qwen3_5", at::kFloat).parameters());
    for (std::size_t step = 0; step < 20; ++step) {
        const double loss = exact.step(batches.batches(step), schedule.at(step)).loss;
        EXPECT_NEAR(rounded.step(batches.batches(step), schedule.at(step)).loss, loss, 0.01 * loss);
    }
    for (const auto& [name, master] : rounded.weights()) {
        EXPECT_EQ(master.scalar_type(), at::kFloat) << name;
        const at::Tensor& held = rounded.network().parameters().at(name);
        EXPECT_TRUE(testing::is_equal(held.detach(), master.detach().to(held.scalar_type())))
            << name;
        // Updates far below half a unit of bfloat16 must not be lost.
        EXPECT_LE(relative_rms(master, exact.weights().at(name)), 5e-3) << name;
    }
}

}  // namespace
}  // namespace anamnesis::train
