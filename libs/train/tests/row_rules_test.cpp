// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/row_rules.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/trainer.hpp"

#include "golden_run.hpp"

namespace anamnesis::train {
namespace {

using testing::golden_folder;
using testing::is_equal;

struct OpenedGolden {
    explicit OpenedGolden(const std::string& name)
        : files(checkpoint::Checkpoint::open(golden_folder(name) / "initial")),
          model(checkpoint::recognise(files)) {}
    checkpoint::Checkpoint files;
    checkpoint::Model model;

    RowRules rules(const RuleWords& words) const { return make_row_rules(files, model, words); }
};

/// The weights after five steps under these rules.
NamedTensors trained(const std::string& name, const RowRules& rules) {
    TrainerSettings settings = testing::golden_settings();
    settings.rules = rules;
    Trainer trainer(testing::initial_network(name, at::kFloat), settings);
    const BatchesFile batches(golden_folder(name) / "batches.safetensors");
    for (std::size_t step = 0; step < 5; ++step) {
        trainer.step(batches.batches(step), 1e-3);
    }
    return trainer.weights();
}

at::Tensor rows(const at::Tensor& tensor, const checkpoint::RowRange& range) {
    return tensor.detach().narrow(
        0, static_cast<std::int64_t>(range.begin), static_cast<std::int64_t>(range.size()));
}

TEST(FrozenRows, StayBitForBitAndTheGatesBetweenThemLearn) {
    // Qwen3.5 interleaves queries and gates in q_proj.
    const OpenedGolden golden("qwen3_5");
    const NamedTensors initial = testing::read_tensors(golden_folder("qwen3_5") / "initial");
    const NamedTensors weights = trained("qwen3_5", golden.rules({.frozen = {"qk"}}));
    std::size_t frozen = 0;
    std::size_t learning = 0;
    for (const checkpoint::AttentionTensor& tensor : golden.model.attention) {
        if (tensor.group != checkpoint::AttentionGroup::weight) {
            continue;
        }
        for (const checkpoint::RowBlock& block : tensor.blocks) {
            const bool is_same = is_equal(rows(weights.at(tensor.name), block.rows),
                                          rows(initial.at(tensor.name), block.rows));
            const bool must_be =
                block.role == checkpoint::RowRole::query || block.role == checkpoint::RowRole::key;
            EXPECT_EQ(is_same, must_be) << tensor.name << " row " << block.rows.begin;
            (must_be ? frozen : learning) += 1;
        }
    }
    EXPECT_GT(frozen, 0U);
    EXPECT_GT(learning, 0U);
}

TEST(ARateOfAGroup, ShortensItsFirstStepAlone) {
    const OpenedGolden golden("qwen3");
    const NamedTensors initial = testing::read_tensors(golden_folder("qwen3") / "initial");
    const BatchesFile batches(golden_folder("qwen3") / "batches.safetensors");
    const auto first_step = [&](const RowRules& rules) {
        TrainerSettings settings = testing::golden_settings();
        settings.rules = rules;
        Trainer trainer(testing::initial_network("qwen3", at::kDouble), settings);
        trainer.step(batches.batches(0), 1e-3);
        return trainer.weights();
    };
    const NamedTensors plain = first_step({});
    const NamedTensors scaled = first_step(golden.rules({.rates = {"qk@1=0.25"}}));
    for (const auto& [name, weight] : plain) {
        const bool is_chosen = name == "model.layers.1.self_attn.q_proj.weight" ||
                               name == "model.layers.1.self_attn.k_proj.weight";
        const at::Tensor start = initial.at(name).to(at::kDouble);
        const at::Tensor expected = (weight.detach() - start) * (is_chosen ? 0.25 : 1.0);
        EXPECT_LE(testing::relative_rms(scaled.at(name).detach() - start, expected), 1e-9) << name;
    }
}

TEST(AnAnchor, HoldsRowsNearTheirStart) {
    const OpenedGolden golden("qwen3");
    const NamedTensors initial = testing::read_tensors(golden_folder("qwen3") / "initial");
    const std::string name = "model.layers.0.self_attn.q_proj.weight";
    const auto distance = [&](const RowRules& rules) {
        return testing::relative_rms(trained("qwen3", rules).at(name), initial.at(name));
    };
    EXPECT_LT(distance(golden.rules({.anchors = {"qk=100"}})), 0.5 * distance({}));
}

TEST(ASelection, ThatMeansNothingIsRefused) {
    const OpenedGolden golden("qwen3");
    EXPECT_THROW(golden.rules({.frozen = {"qx"}}), Error);
    EXPECT_THROW(golden.rules({.frozen = {"qk@9"}}), Error);
    EXPECT_THROW(golden.rules({.frozen = {"latent"}}), Error);
    EXPECT_THROW(golden.rules({.rates = {"qk"}}), Error);
    EXPECT_THROW(golden.rules({.rates = {"qk=-1"}}), Error);
    EXPECT_THROW(golden.rules({.frozen = {"qk"}, .rates = {"q=0.5"}}), Error);
    EXPECT_THROW(require_learning(golden.files, golden.rules({.frozen = {"all"}})), Error);
    EXPECT_NO_THROW(require_learning(golden.files, golden.rules({.frozen = {"qk"}})));
}

}  // namespace
}  // namespace anamnesis::train
