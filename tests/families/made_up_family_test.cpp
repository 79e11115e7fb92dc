// SPDX-License-Identifier: Apache-2.0
// A family that one file describes (families/made_up.cpp) is repaired, run, trained and started
// from random weights like those of the library.
#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ops/allclose.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/initial_checkpoint.hpp"
#include "anamnesis/train/trainer.hpp"

#include "temporary_folder.hpp"

namespace anamnesis {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

Json make_config() {
    return Json::parse(R"({"model_type": "made_up", "hidden_size": 32, "vocab_size": 61,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "intermediate_size": 40, "attends_every": 2, "memory_heads": 4, "dtype": "float32",
        "tie_word_embeddings": false})");
}

class MadeUpFamily : public ::testing::Test {
protected:
    fs::path start(const std::string& name, std::uint64_t seed) const {
        const fs::path folder = folder_.path() / name;
        train::write_initial_checkpoint(make_config(), train::Initialiser::fan_in, seed, folder);
        return folder;
    }

    static checkpoint::RecognisedCheckpoint open(const fs::path& folder) {
        auto files = checkpoint::Checkpoint::open(folder);
        auto model = checkpoint::recognise(files);
        return {std::move(files), std::move(model)};
    }

    static runtime::Network load(const fs::path& folder, bool is_trainable = false) {
        const checkpoint::RecognisedCheckpoint source = open(folder);
        return runtime::Network::load(source.checkpoint,
                                      runtime::describe(source.checkpoint, source.model),
                                      {.is_trainable = is_trainable});
    }

    TemporaryFolder folder_;
};

TEST_F(MadeUpFamily, StartsFromRandomWeightsThatItRecognises) {
    const checkpoint::RecognisedCheckpoint source = open(start("model", 1));
    EXPECT_EQ(source.model.family, "made_up");
    EXPECT_THAT(source.model.findings, IsEmpty());
    EXPECT_EQ(source.model.attention.size(), 10U);
    EXPECT_FALSE(source.model.is_head_tied);
    for (const char* name : {"model.tokens.weight",
                             "model.layers.0.memory.valve.weight",
                             "model.layers.1.routing.wq.weight",
                             "model.layers.3.feed.w2.weight",
                             "predictor.weight"}) {
        EXPECT_NE(source.checkpoint.find(name), nullptr) << name;
    }
    EXPECT_EQ(checkpoint::classify_tensor(source.model, "model.layers.0.memory.valve.weight"),
              checkpoint::TensorGroup::mixer);
    EXPECT_EQ(checkpoint::classify_tensor(source.model, "model.layers.1.routing.wo.weight"),
              checkpoint::TensorGroup::o);
    EXPECT_EQ(checkpoint::classify_tensor(source.model, "model.layers.1.feed.w1.weight"),
              checkpoint::TensorGroup::mlp);
}

TEST_F(MadeUpFamily, RunsAWholeTextAndTheSameTextInPieces) {
    const runtime::Network network = load(start("model", 1));
    const at::Tensor ids = at::arange(23, at::kLong).unsqueeze(0);
    const at::Tensor whole = network.logits(network.forward(ids)).detach();
    EXPECT_EQ(whole.sizes(), at::IntArrayRef({1, 23, 61}));
    EXPECT_TRUE(at::isfinite(whole).all().item<bool>());
    runtime::NetworkState state = network.make_state();
    std::vector<runtime::NetworkState*> states{&state};
    std::vector<at::Tensor> pieces;
    std::int64_t from = 0;
    for (const std::int64_t length : {std::int64_t{9}, std::int64_t{1}, std::int64_t{13}}) {
        pieces.push_back(network.logits(network.advance(ids.narrow(1, from, length), states)));
        from += length;
    }
    EXPECT_TRUE(at::allclose(at::cat(pieces, 1), whole, 1e-4, 1e-5));
}

TEST_F(MadeUpFamily, LearnsInEveryWeight) {
    runtime::Network network = load(start("model", 1), /*is_trainable=*/true);
    train::NamedTensors before;
    for (const auto& [name, weight] : network.parameters()) {
        before.emplace(name, weight.detach().clone());
    }
    train::Batch batch{.rows = 2, .length = 12};
    for (std::int64_t i = 0; i < 24; ++i) {
        batch.ids.push_back(i * 7 % 61);
        batch.labels.push_back(i * 7 % 61);
    }
    train::Trainer trainer(std::move(network), {});
    const double first = trainer.step({&batch, 1}, 1e-2).loss;
    EXPECT_NEAR(first, std::log(61.0), 1.0);
    for (const auto& [name, weight] : trainer.weights()) {
        EXPECT_FALSE(at::equal(weight.detach(), before.at(name))) << name;
    }
    EXPECT_LT(trainer.loss({&batch, 1}), first);
}

TEST_F(MadeUpFamily, GetsItsQueriesAndKeysBack) {
    const checkpoint::RecognisedCheckpoint pre = open(start("pre", 1));
    const checkpoint::RecognisedCheckpoint post = open(start("post", 2));
    // Random weights of two seeds are no fine-tune of one another.
    restore::Request request;
    request.allowed.insert(restore::Allowance::unrelated);
    const restore::Plan plan = restore::make_plan(pre, post, request);
    EXPECT_EQ(plan.changed_layers(), (std::vector<std::uint32_t>{1, 3}));
    const fs::path out = folder_.path() / "out";
    restore::write_folders(plan, {out}, {}, {});
    const runtime::Network repaired = load(out);
    const runtime::Network base = load(folder_.path() / "pre");
    const runtime::Network tuned = load(folder_.path() / "post");
    for (const auto& [name, weight] : repaired.parameters()) {
        const bool is_routing = name.ends_with("wq.weight") || name.ends_with("wk.weight");
        const auto& expected = is_routing ? base.parameters() : tuned.parameters();
        EXPECT_TRUE(at::equal(weight, expected.at(name))) << name;
    }
}

}  // namespace
}  // namespace anamnesis
