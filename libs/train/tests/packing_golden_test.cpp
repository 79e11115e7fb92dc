// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/train/loss.hpp"
#include "anamnesis/train/packing_check.hpp"

#include "golden_run.hpp"

namespace anamnesis::train {
namespace {

using testing::golden_folder;

struct Packing : ::testing::TestWithParam<std::string> {
    NamedTensors golden = testing::read_tensors(golden_folder(GetParam()) / "packing.safetensors");

    std::vector<std::int64_t> integers(const std::string& name) const {
        const at::Tensor& tensor = golden.at(name);
        const auto* begin = tensor.const_data_ptr<std::int64_t>();
        return {begin, begin + tensor.numel()};
    }

    Batch packed() const {
        const std::vector<std::int64_t> ids = integers("input_ids");
        return {.rows = 1,
                .length = ids.size(),
                .ids = ids,
                .labels = integers("labels"),
                .boundaries = integers("cu_seqlens")};
    }

    double expected_loss() const {
        return testing::expectation(GetParam()).at("packing").at("loss_total").as_double("loss");
    }
};

INSTANTIATE_TEST_SUITE_P(Models,
                         Packing,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

/// The loss over both samples, and how far its gradient is from the golden one.
struct Outcome {
    double loss = 0.0;
    double gradient_error = 0.0;  ///< relative to the norm of the golden gradient
};

Outcome compute_outcome(const Packing& test,
                        const Batch& batch,
                        at::ScalarType type,
                        bool recomputes_layers = false) {
    const runtime::Network network =
        testing::initial_network(test.GetParam(), type, recomputes_layers);
    const Supervision supervision = count_supervision(batch, network.spec().vocabulary_size);
    const at::Tensor loss = summed_loss(network, batch) / supervision.weight;
    loss.backward();
    double error = 0.0;
    double size = 0.0;
    for (const auto& [name, parameter] : network.parameters()) {
        const at::Tensor expected = test.golden.at("grad." + name).to(at::kDouble);
        error += (parameter.grad().to(at::kDouble) - expected).square().sum().item<double>();
        size += expected.square().sum().item<double>();
    }
    return {.loss = loss.item<double>(), .gradient_error = std::sqrt(error / size)};
}

TEST_P(Packing, GivesLossAndGradientOfTheSamplesAlone) {
    const Outcome exact = compute_outcome(*this, packed(), at::kDouble);
    EXPECT_NEAR(exact.loss, expected_loss(), 1e-10);
    EXPECT_LE(exact.gradient_error, 1e-6);
    const Outcome single = compute_outcome(*this, packed(), at::kFloat);
    EXPECT_NEAR(single.loss, expected_loss(), 1e-6 * expected_loss());
    EXPECT_LE(single.gradient_error, 1e-5);
}

TEST_P(Packing, IsTheSameWhenLayersAreComputedAgain) {
    const Outcome kept = compute_outcome(*this, packed(), at::kDouble);
    const Outcome again = compute_outcome(*this, packed(), at::kDouble, true);
    EXPECT_EQ(again.loss, kept.loss);
    EXPECT_EQ(again.gradient_error, kept.gradient_error);
}

TEST_P(Packing, WithoutBoundariesIsFarOff) {
    Batch leaking = packed();
    leaking.boundaries.clear();
    const Outcome wrong = compute_outcome(*this, leaking, at::kDouble);
    EXPECT_GT(wrong.gradient_error, 0.1);
}

// Few tokens alone take kernels of their own, but not in training.
TEST_P(Packing, OfShortSamplesInBfloat16IsThatOfEachAlone) {
    const runtime::Network network = testing::initial_network(GetParam(), at::kBFloat16);
    Batch brief = packed();
    brief.boundaries = {0, 10, 19};
    EXPECT_NO_THROW(check_packing(network, brief));
    for (const auto& [name, parameter] : network.parameters()) {
        at::Tensor(parameter).requires_grad_(false);
    }
    EXPECT_NO_THROW(check_packing(network, brief)) << "of weights that do not learn";
}

TEST_P(Packing, IsCheckedBeforeTraining) {
    const runtime::Network network = testing::initial_network(GetParam(), at::kFloat);
    EXPECT_NO_THROW(check_packing(network, packed()));
    const auto leaking = [&](const at::Tensor& ids, std::span<const std::int64_t> /*all*/) {
        return network.forward(ids);
    };
    try {
        check_packing(network, packed(), leaking);
        ADD_FAILURE() << "a leak went unseen";
    } catch (const Error& error) {
        EXPECT_NE(error.message().find("29 and 19 tokens"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace anamnesis::train
