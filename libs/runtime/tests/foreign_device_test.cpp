// SPDX-License-Identifier: Apache-2.0

// What runs on an accelerator, on machines that have none.

#include "foreign_device.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/device.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "golden.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::runtime {
namespace {

using testing::foreign_device;
using testing::golden_model;
using testing::golden_network;
using testing::is_near;
using testing::read_tensors;

TEST(ForeignDevice, IsKnownByItsName) {
    EXPECT_EQ(device_of("foreign"), foreign_device);
    EXPECT_EQ(device_of("cpu"), at::Device(at::kCPU));
}

TEST(ForeignDeviceDeathTest, StopsWhoReadsItsMemory) {
    const at::Tensor there = at::ones({4}).to(foreign_device);
    EXPECT_EQ(there.sum().item<double>(), 4.0);
    EXPECT_DEATH((void)*static_cast<const volatile float*>(there.const_data_ptr<float>()), "");
}

struct GoldenOnAForeignDevice : ::testing::TestWithParam<std::string> {
    Network network(at::ScalarType type) const {
        return golden_network(GetParam(), {.weight_type = type, .device = foreign_device});
    }
    testing::Tensors expected = read_tensors(golden_model(GetParam()) / "expected.safetensors");
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenOnAForeignDevice,
                         ::testing::ValuesIn(testing::golden_models()),
                         [](const auto& instance) { return instance.param; });

at::Tensor on_cpu(const at::Tensor& tensor) {
    return tensor.to(at::kCPU);
}

TEST_P(GoldenOnAForeignDevice, AgreesWithTheReference) {
    const Network there = network(at::kFloat);
    const at::Tensor hidden = there.forward(expected.at("input_ids"));
    EXPECT_EQ(hidden.device(), foreign_device);
    EXPECT_TRUE(is_near(on_cpu(there.logits(hidden)), expected.at("logits"), 1e-5));
}

TEST_P(GoldenOnAForeignDevice, ReadsInPiecesAndContinuesGreedily) {
    const Network there = network(at::kFloat);
    const at::Tensor ids = expected.at("input_ids");
    std::vector<NetworkState> states(static_cast<std::size_t>(ids.size(0)), there.make_state());
    std::vector<NetworkState*> all;
    for (NetworkState& state : states) {
        all.push_back(&state);
    }
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first < ids.size(1); first += 64) {
        const at::Tensor piece =
            ids.narrow(1, first, std::min<std::int64_t>(64, ids.size(1) - first));
        parts.push_back(on_cpu(there.logits(there.advance(piece, all))));
    }
    EXPECT_TRUE(is_near(at::cat(parts, 1), expected.at("logits"), 1e-5));
    std::vector<at::Tensor> chosen;
    at::Tensor logits = parts.back();
    for (int step = 0; step < 16; ++step) {
        chosen.push_back(logits.select(1, logits.size(1) - 1).argmax(-1).unsqueeze(1));
        logits = on_cpu(there.logits(there.advance(chosen.back(), all)));
    }
    EXPECT_TRUE(at::cat(chosen, 1).equal(expected.at("greedy")));
}

TEST_P(GoldenOnAForeignDevice, AgreesWithTheCpuInBfloat16AndFloat16) {
    for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
        const Network here = golden_network(GetParam(), {.weight_type = type});
        const Network there = network(type);
        NetworkState state = there.make_state();
        NetworkState* const one = &state;
        const at::Tensor ids = expected.at("input_ids").narrow(0, 0, 1);
        const at::Tensor logits = there.logits(there.advance(ids, std::span(&one, 1)));
        EXPECT_TRUE(is_near(on_cpu(logits), here.logits(here.forward(ids)), 0.03)) << type;
    }
}

TEST(ModelOnAForeignDevice, WritesAndScoresAsOnTheCpu) {
    const testing::TemporaryFolder folder;
    testing::write_tiny_model(folder, "hypenet_base");
    const auto files = checkpoint::Checkpoint::open(folder.path());
    const checkpoint::Model model = checkpoint::recognise(files);
    std::vector<language::Generation> results;
    std::vector<double> scores;
    for (const std::string device : {"cpu", "foreign:0"}) {
        const auto one = HybridModel::load(files, model, {.dtype = DType::f32, .device = device});
        const std::vector<language::TokenId> prompt = one->encode("the needle is in the haystack");
        const auto sequence = one->start();
        one->prefill(*sequence, prompt, {}, {});
        scores.push_back(one->score(*sequence, prompt).back().logprob);
        language::Sequence* const pointer = sequence.get();
        results.push_back(one->generate(std::span(&pointer, 1),
                                        {.max_new_tokens = 8, .ignores_end_of_text = true})
                              .front());
    }
    EXPECT_EQ(results[0].tokens.size(), 8U);
    EXPECT_EQ(results[0].tokens, results[1].tokens);
    EXPECT_NEAR(scores[0], scores[1], 1e-4);
}

}  // namespace
}  // namespace anamnesis::runtime
