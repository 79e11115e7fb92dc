// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/evaluation.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/checkpoint_output.hpp"

#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;
using anamnesis::testing::TemporaryFolder;

/// A network in training, over a checkpoint with a tokenizer.
struct LiveNetwork : ::testing::Test {
    LiveNetwork() { testing::write_tiny_model(folder, "hypenet_base"); }

    runtime::Network load() const {
        return runtime::Network::load(checkpoint(),
                                      runtime::describe(checkpoint(), model()),
                                      {.weight_type = at::kFloat, .is_trainable = true});
    }
    checkpoint::Checkpoint checkpoint() const {
        return checkpoint::Checkpoint::open(folder.path(), {});
    }
    checkpoint::Model model() const { return checkpoint::recognise(checkpoint(), {}); }

    /// As a trainer does.
    static void change(const runtime::Network& network, double factor) {
        const at::NoGradGuard no_gradients;
        for (const auto& [name, parameter] : network.parameters()) {
            at::Tensor(parameter).mul_(factor);
        }
    }

    static std::vector<language::Generation> answer(language::LanguageModel& model) {
        std::vector<language::Generation> answers;
        for (const char* prompt : {"The grass is green.", "What is one and one? It is"}) {
            const auto sequence = model.start();
            model.prefill(*sequence, model.encode_beginning(prompt));
            language::Sequence* pointer = sequence.get();
            answers.push_back(
                model.generate(std::span(&pointer, 1), {.max_new_tokens = 24}).front());
        }
        return answers;
    }

    TemporaryFolder folder;
};

TEST_F(LiveNetwork, AnswersAsTheCheckpointThatItWouldWrite) {
    const runtime::Network network = load();
    const auto live = runtime::HybridModel::borrow(network, checkpoint(), 512);
    const auto first = answer(*live);
    change(network, 0.9);
    const auto changed = answer(*live);
    EXPECT_NE(changed.front().logprobs, first.front().logprobs) << "it reads a copy";
    const TemporaryFolder written;
    write_checkpoint(checkpoint(), network.parameters(), written.path());
    const auto files = checkpoint::Checkpoint::open(written.path(), {});
    const auto stored = runtime::HybridModel::load(
        files, checkpoint::recognise(files, {}), {.dtype = DType::f32, .prefill_chunk = 512});
    const auto expected = answer(*stored);
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(changed[i].tokens, expected[i].tokens);
        EXPECT_EQ(changed[i].logprobs, expected[i].logprobs);
        EXPECT_EQ(changed[i].text, expected[i].text);
    }
}

TEST_F(LiveNetwork, IsAskedWithoutBeingChanged) {
    const runtime::Network network = load();
    const Evaluate evaluate =
        make_evaluation({.every = 1, .lengths = {4096}, .samples = 1}, checkpoint(), network);
    const EvaluationFigures figures = evaluate({});
    ASSERT_EQ(figures.recall.size(), 3U);
    EXPECT_EQ(figures.recall.front().task, "niah_single_1");
    EXPECT_EQ(figures.recall.front().length, 4096U);
    EXPECT_FALSE(figures.reasoning);
    const runtime::Network untouched = load();
    for (const auto& [name, parameter] : network.parameters()) {
        EXPECT_TRUE(parameter.equal(untouched.parameters().at(name))) << name;
        EXPECT_FALSE(parameter.grad().defined()) << name;
    }
}

TEST_F(LiveNetwork, IsNotAskedAfterAStop) {
    const runtime::Network network = load();
    const Evaluate evaluate =
        make_evaluation({.every = 1, .lengths = {4096}, .samples = 1}, checkpoint(), network);
    std::stop_source source;
    source.request_stop();
    SilentProgress silent;
    try {
        evaluate(Watch(silent, source.get_token()));
        ADD_FAILURE() << "it was asked";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::cancelled);
    }
}

TEST(EvaluationFigures, AreOneObjectByTaskAndLength) {
    const EvaluationFigures figures{.recall = {{.task = "S1", .length = 128, .percent = 50.0},
                                               {.task = "S2", .length = 128, .percent = 25.0},
                                               {.task = "S1", .length = 256, .percent = 0.0}},
                                    .reasoning = {{"cot", 12.5}}};
    EXPECT_EQ(to_json(figures).dump(),
              R"({"S1":{"128":50.0,"256":0.0},"S2":{"128":25.0},"cot":12.5})");
}

}  // namespace
}  // namespace anamnesis::train
