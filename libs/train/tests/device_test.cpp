// SPDX-License-Identifier: Apache-2.0

// Training on what is not the CPU.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/processes.hpp"
#include "anamnesis/train/synthetic/exactness.hpp"
#include "anamnesis/train/synthetic/source.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/trainer.hpp"

#include "foreign_device.hpp"
#include "golden_run.hpp"
#include "gradient_sums.hpp"
#include "nccl_sums.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::train {
namespace {

using ::anamnesis::testing::is_real_device;
using ::anamnesis::testing::tested_device;
using ::anamnesis::testing::tolerance;
using testing::golden_folder;
using testing::golden_settings;
using testing::initial_network;
using testing::relative_rms;

runtime::Network load_network(const std::filesystem::path& folder,
                              const runtime::NetworkOptions& options) {
    const auto files = checkpoint::Checkpoint::open(folder);
    return runtime::Network::load(
        files, runtime::describe(files, checkpoint::recognise(files)), options);
}

runtime::Network network_there(const std::string& model,
                               at::ScalarType type,
                               bool recomputes_layers = false) {
    return load_network(golden_folder(model) / "initial",
                        {.weight_type = type,
                         .device = tested_device(),
                         .is_trainable = true,
                         .recomputes_layers = recomputes_layers});
}

struct OnADevice : ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models,
                         OnADevice,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(OnADevice, TrainsAsOnTheCpu) {
    const BatchesFile batches(golden_folder(GetParam()) / "batches.safetensors");
    for (const bool recomputes : {false, true}) {
        Trainer here(initial_network(GetParam(), at::kFloat), golden_settings());
        Trainer there(network_there(GetParam(), at::kFloat, recomputes), golden_settings());
        const std::uint64_t steps = is_real_device() ? batches.steps() : 5;
        for (std::uint64_t step = 0; step < steps; ++step) {
            const StepFigures one = here.step(batches.batches(step), 1e-3);
            const StepFigures other = there.step(batches.batches(step), 1e-3);
            EXPECT_NEAR(one.loss, other.loss, tolerance(1e-5, 1e-4) * one.loss) << step;
            EXPECT_NEAR(one.grad_norm, other.grad_norm, tolerance(1e-4, 1e-3) * one.grad_norm)
                << step;
        }
        for (const auto& [name, weight] : there.weights()) {
            EXPECT_EQ(weight.device(), tested_device()) << name;
            EXPECT_LE(relative_rms(weight.to(at::kCPU), here.weights().at(name)),
                      tolerance(1e-4, 1e-3))
                << name;
        }
    }
}

TEST_P(OnADevice, GoesOnFromASavedState) {
    const BatchesFile batches(golden_folder(GetParam()) / "batches.safetensors");
    Trainer whole(network_there(GetParam(), at::kBFloat16), golden_settings());
    whole.step(batches.batches(0), 1e-3);
    NamedTensors saved;
    for (const auto& [name, tensor] : whole.state()) {
        saved.emplace(name, tensor.to(at::kCPU, /*non_blocking=*/false, /*copy=*/true));
    }
    Trainer resumed(network_there(GetParam(), at::kBFloat16), golden_settings());
    resumed.restore(saved);
    const double loss = whole.step(batches.batches(1), 1e-3).loss;
    EXPECT_NEAR(
        loss, resumed.step(batches.batches(1), 1e-3).loss, tolerance(0.0, 1e-6) * std::abs(loss));
    for (const auto& [name, weight] : whole.weights()) {
        const at::Tensor other = resumed.weights().at(name);
        // Of a real device's kernels some add in an order that changes from run to run.
        EXPECT_LE(relative_rms(weight.to(at::kCPU), other.to(at::kCPU)), tolerance(0.0, 1e-3))
            << name;
    }
}

/// Another process with the same gradients, and sums on the device, as NCCL's are.
class TwinOnTheDevice final : public Processes {
public:
    std::size_t count() const noexcept override { return 2; }
    bool sums_on(const at::Device& /*device*/) const override { return true; }
    void begin_sum(const at::Tensor& values) override {
        EXPECT_EQ(values.device(), tested_device());
        at::Tensor(values).mul_(2.0);
    }
};

TEST(GradientSumsOnADevice, StayThere) {
    const at::Tensor weight = at::ones({3}).to(tested_device()).requires_grad_(true);
    TwinOnTheDevice processes;
    GradientSums sums({{"weight", weight}}, {"weight"}, processes, 3);
    sums.watch();
    (weight * weight).sum().backward();
    const NamedTensors all = sums.finish();
    EXPECT_EQ(all.at("weight").device(), tested_device());
    EXPECT_TRUE(all.at("weight").to(at::kCPU).equal(at::ones({3}) * 4.0));
}

TEST(NcclOnADevice, SumsOfOneProcessAreItsOwn) {
    if (!tested_device().is_cuda() || !NcclSums::is_built()) {
        GTEST_SKIP() << "needs a CUDA device and a build with NCCL";
    }
    NcclSums sums(tested_device(), /*rank=*/0, /*count=*/1, [](std::span<std::byte> /*id*/) {});
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
        const at::Tensor values = at::arange(1 << 20, at::TensorOptions().dtype(type));
        const at::Tensor there = values.to(tested_device());
        const at::Tensor doubled = there * 2.0;  // on the stream that the sum must wait for
        sums.begin(doubled);
        sums.finish();
        EXPECT_TRUE((doubled - there).to(at::kCPU).equal(values));
    }
}

/// HypeNet's blocks, as the reproduction trains them.
struct SmallHypeNetOnADevice : ::testing::Test {
    SmallHypeNetOnADevice() {
        write_initial_checkpoint(
            Json::parse(io::read_text(ANAMNESIS_TESTDATA "/../tools/demo_config.json")),
            Initialiser::fan_in,
            /*seed=*/1,
            folder.path());
    }
    runtime::Network load(at::Device device) const {
        return load_network(folder.path(), {.device = device, .is_trainable = true});
    }
    ::anamnesis::testing::TemporaryFolder folder;
};

TEST_F(SmallHypeNetOnADevice, LearnsAndAnswersAsOnTheCpu) {
    Trainer here(load(at::kCPU), golden_settings());
    Trainer there(load(tested_device()), golden_settings());
    const synthetic::SyntheticSource source(
        synthetic::Task::mix, {{.steps = 2, .rows = 4, .length = 64}}, 7);
    for (std::uint64_t step = 0; step < 2; ++step) {
        const StepFigures one = here.step(source.batches(step), 1e-3);
        const StepFigures other = there.step(source.batches(step), 1e-3);
        EXPECT_NEAR(one.loss, other.loss, tolerance(1e-5, 1e-4) * one.loss) << step;
        EXPECT_NEAR(one.grad_norm, other.grad_norm, tolerance(1e-4, 1e-3) * one.grad_norm) << step;
    }
    EXPECT_EQ(synthetic::reasoning(there.network(), 4, 1).outcomes,
              synthetic::reasoning(here.network(), 4, 1).outcomes);
}

}  // namespace
}  // namespace anamnesis::train
