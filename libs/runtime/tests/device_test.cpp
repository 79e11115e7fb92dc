// SPDX-License-Identifier: Apache-2.0

// What runs on an accelerator: a foreign one where there is none.

#include "anamnesis/runtime/device.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "foreign_device.hpp"
#include "golden.hpp"
#include "key_value_cache.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::runtime {
namespace {

using testing::device_name;
using testing::foreign_device;
using testing::golden_model;
using testing::golden_network;
using testing::is_near;
using testing::is_real_device;
using testing::read_tensors;
using testing::tested_device;
using testing::tolerance;

/// Threads of this process.
std::ptrdiff_t count_threads() {
    const std::filesystem::directory_iterator tasks("/proc/self/task");
    return std::distance(begin(tasks), end(tasks));
}

TEST(Threads, ThoseGivenBackEndAndComeAgain) {
    if (at::get_num_threads() == 1 || at::get_parallel_info().find("OpenMP") == std::string::npos) {
        GTEST_SKIP() << "one thread works by itself, or threads are not OpenMP's";
    }
    const auto work = [] {
        at::parallel_for(0, at::get_num_threads(), 1, [](std::int64_t, std::int64_t) {});
        return count_threads();
    };
    const std::ptrdiff_t working = work();
    const int threads = at::get_num_threads();
    release_threads();
    EXPECT_LT(count_threads(), working);
    EXPECT_EQ(at::get_num_threads(), threads);
    EXPECT_EQ(work(), working);
}

TEST(Device, IsKnownByItsName) {
    EXPECT_EQ(parse_device(device_name()), tested_device());
    EXPECT_EQ(parse_device("cpu"), at::Device(at::kCPU));
}

TEST(ForeignDeviceDeathTest, StopsWhoReadsItsMemory) {
    if (is_real_device()) {
        GTEST_SKIP() << "a real device is tested";
    }
    const at::Tensor there = at::ones({4}).to(foreign_device);
    EXPECT_EQ(there.sum().item<double>(), 4.0);
    EXPECT_DEATH((void)*static_cast<const volatile float*>(there.const_data_ptr<float>()), "");
}

at::Tensor on_cpu(const at::Tensor& tensor) {
    return tensor.to(at::kCPU);
}

/// Logits of texts that are read in pieces of `first` tokens once and then of `piece`.
at::Tensor logits_in_pieces(const Network& network,
                            const at::Tensor& ids,
                            std::int64_t first,
                            std::int64_t piece) {
    std::vector<NetworkState> states(static_cast<std::size_t>(ids.size(0)), network.make_state());
    std::vector<NetworkState*> all;
    for (NetworkState& state : states) {
        all.push_back(&state);
    }
    std::vector<at::Tensor> parts;
    for (std::int64_t done = 0; done < ids.size(1);) {
        const std::int64_t count = std::min(parts.empty() ? first : piece, ids.size(1) - done);
        parts.push_back(on_cpu(network.logits(network.advance(ids.narrow(1, done, count), all))));
        done += count;
    }
    return at::cat(parts, 1);
}

struct GoldenOnADevice : ::testing::TestWithParam<std::string> {
    Network network(at::ScalarType type) const {
        return golden_network(GetParam(), {.weight_type = type, .device = tested_device()});
    }
    testing::Tensors expected = read_tensors(golden_model(GetParam()) / "expected.safetensors");
    double exact = tolerance(1e-5, 3e-5);  ///< of float32
};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenOnADevice,
                         ::testing::ValuesIn(testing::golden_models()),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenOnADevice, AgreesWithTheReference) {
    const Network there = network(at::kFloat);
    const at::Tensor hidden = there.forward(expected.at("input_ids"));
    EXPECT_EQ(hidden.device(), tested_device());
    EXPECT_TRUE(is_near(on_cpu(there.logits(hidden)), expected.at("logits"), exact));
}

TEST_P(GoldenOnADevice, ReadsInPiecesAndStepByStep) {
    const Network there = network(at::kFloat);
    const at::Tensor& ids = expected.at("input_ids");
    EXPECT_TRUE(is_near(logits_in_pieces(there, ids, 64, 64), expected.at("logits"), exact));
    EXPECT_TRUE(
        is_near(logits_in_pieces(there, ids, ids.size(1) - 24, 1), expected.at("logits"), exact));
}

TEST_P(GoldenOnADevice, ContinuesGreedily) {
    const Network there = network(at::kFloat);
    const at::Tensor ids = expected.at("input_ids");
    std::vector<NetworkState> states(static_cast<std::size_t>(ids.size(0)), there.make_state());
    std::vector<NetworkState*> all;
    for (NetworkState& state : states) {
        all.push_back(&state);
    }
    at::Tensor logits = on_cpu(there.logits(there.advance_to_last(ids, all)));
    std::vector<at::Tensor> chosen;
    for (int step = 0; step < 16; ++step) {
        chosen.push_back(logits.argmax(-1));
        logits = on_cpu(there.logits(there.advance(chosen.back(), all)));
    }
    EXPECT_TRUE(at::cat(chosen, 1).equal(expected.at("greedy")));
}

TEST_P(GoldenOnADevice, AgreesWithTheCpuInBfloat16AndFloat16) {
    for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
        const Network here = golden_network(GetParam(), {.weight_type = type});
        const Network there = network(type);
        const at::Tensor ids = expected.at("input_ids").narrow(0, 0, 1);
        const at::Tensor on_host = here.logits(here.forward(ids));
        // Roundings of their own on both sides; in a mixture they may choose another expert.
        const double stated =
            type == at::kBFloat16 ? 1.5 * testing::stated_bf16_error(GetParam()) : 0.0;
        const double bound = std::max(stated, 0.05);
        const auto expect_near = [&](const at::Tensor& logits, const char* how) {
            EXPECT_TRUE(is_near(logits, on_host, bound)) << type << " " << how;
            std::printf("%s %s %s: relative RMS error %.2e\n",
                        GetParam().c_str(),
                        c10::toString(type),
                        how,
                        testing::relative_rms(logits, on_host));
        };
        expect_near(on_cpu(there.logits(there.forward(ids))), "whole");
        expect_near(logits_in_pieces(there, ids, 64, 64), "in pieces");
        expect_near(logits_in_pieces(there, ids, ids.size(1) - 24, 1), "step by step");
    }
}

/// A cache on the CPU and one on the device, with the same tokens.
struct CachePair {
    KeyValueCache here{at::kFloat, 4};
    KeyValueCache there{at::kFloat, 4};

    void append(std::int64_t tokens) {
        const at::Tensor keys = at::randn({tokens, 2, 3});
        const at::Tensor values = at::randn({tokens, 2, 3});
        here.append(keys, values);
        there.append(keys.to(tested_device()), values.to(tested_device()));
    }
    void forget_before(std::int64_t position) {
        here.forget_before(position);
        there.forget_before(position);
    }
    void expect_same_from(std::int64_t begin) const {
        ASSERT_EQ(there.length(), here.length());
        const auto one = here.gather(begin, here.length(), at::kFloat);
        const auto other = there.gather(begin, there.length(), at::kFloat);
        EXPECT_TRUE(on_cpu(other.keys).equal(one.keys));
        EXPECT_TRUE(on_cpu(other.values).equal(one.values));
    }
};

TEST(CacheOnADevice, GrowsAndIsSharedAsOnTheCpu) {
    CachePair pair;
    for (const std::int64_t tokens : {3, 5, 1, 9, 30, 1}) {
        pair.append(tokens);
        pair.expect_same_from(0);
    }
    CachePair fork = pair;
    fork.append(1);
    pair.append(2);
    fork.expect_same_from(0);
    pair.expect_same_from(0);
}

TEST(CacheOnADevice, ForgetsWhatAWindowHasPassed) {
    CachePair pair;
    for (int i = 0; i < 40; ++i) {
        pair.append(3);
        pair.forget_before(pair.here.length() - 6);
        pair.expect_same_from(std::max<std::int64_t>(0, pair.here.length() - 6));
    }
    // Two dozen tokens at most: 6 that are needed, those of one call, a quarter more.
    EXPECT_LE(pair.there.bytes(), 24 * 2 * 2 * 3 * 4);
}

TEST(ModelOnADevice, WritesAndScoresAsOnTheCpu) {
    const testing::TemporaryFolder folder;
    testing::write_tiny_model(folder, "hypenet_base");
    const auto files = checkpoint::Checkpoint::open(folder.path());
    const checkpoint::Model model = checkpoint::recognise(files);
    std::vector<language::Generation> results;
    std::vector<double> scores;
    for (const std::string& device : {std::string("cpu"), device_name()}) {
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
