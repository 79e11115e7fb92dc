// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/runtime/model_spec.hpp"

#include "golden_run.hpp"

namespace anamnesis::train {
namespace {

using ::testing::Contains;
using ::testing::Not;

NamedTensors weights_after_a_step(const std::string& model, double decay) {
    const auto files =
        checkpoint::Checkpoint::open(std::filesystem::path(ANAMNESIS_TESTDATA) / "models" / model);
    Trainer trainer(runtime::Network::load(files,
                                           runtime::describe(files, checkpoint::recognise(files)),
                                           {.weight_type = at::kFloat, .is_trainable = true}),
                    {.adamw = {.weight_decay = decay}});
    Batch batch{.rows = 1, .length = 12};
    for (std::int64_t i = 0; i < 12; ++i) {
        batch.ids.push_back(1 + i * 3);
    }
    batch.labels = batch.ids;
    trainer.step({&batch, 1}, 1e-2);
    NamedTensors weights;
    for (const auto& [name, tensor] : trainer.state()) {
        if (name.starts_with("weight.")) {
            weights.emplace(name.substr(7), tensor.clone());
        }
    }
    return weights;
}

/// Names of what a decay moves.
std::set<std::string> find_decayed(const std::string& model) {
    const NamedTensors plain = weights_after_a_step(model, 0.0);
    std::set<std::string> decayed;
    for (const auto& [name, tensor] : weights_after_a_step(model, 0.5)) {
        if (!tensor.equal(plain.at(name))) {
            decayed.insert(name);
        }
    }
    return decayed;
}

TEST(WeightDecay, IsOfMatricesInStacksAndNotOfBiasesThatLieInHeads) {
    const auto decayed = find_decayed("recurrent_gemma_odd");
    const std::string unit = "model.layers.0.temporal_block.rg_lru.";
    EXPECT_THAT(decayed, Contains(unit + "input_gate_weight"));
    EXPECT_THAT(decayed, Contains("model.layers.0.temporal_block.linear_x.weight"));
    EXPECT_THAT(decayed, Contains("model.embed_tokens.weight"));
    for (const char* name : {"input_gate_bias", "recurrent_gate_bias", "recurrent_param"}) {
        EXPECT_THAT(decayed, Not(Contains(unit + name)));
    }
    EXPECT_THAT(decayed, Not(Contains("model.layers.0.temporal_block.conv_1d.weight")));
    EXPECT_THAT(decayed, Not(Contains("model.final_norm.weight")));
}

TEST(WeightDecay, IsNotOfTheRatesOfMamba1) {
    const auto decayed = find_decayed("jamba_odd");
    EXPECT_THAT(decayed, Contains("model.layers.1.mamba.in_proj.weight"));
    EXPECT_THAT(decayed, Not(Contains("model.layers.1.mamba.A_log")));
}

}  // namespace
}  // namespace anamnesis::train
