// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/lora.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/remainder.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/runtime/model_spec.hpp"
#include "anamnesis/runtime/network.hpp"
#include "anamnesis/train/batches_file.hpp"
#include "anamnesis/train/row_rules.hpp"
#include "anamnesis/train/trainer.hpp"

#include "golden_run.hpp"
#include "temporary_folder.hpp"
#include "tiny_models.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;
using anamnesis::testing::TemporaryFolder;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::golden_folder;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::relative_rms;

fs::path golden(const std::string& model) {
    return fs::path(ANAMNESIS_TESTDATA) / "training" / "lora" / model;
}

/// A network with adapters, and the base they hang on.
struct Adapted {
    Adapted(const fs::path& folder,
            const LoraSettings& settings,
            at::ScalarType type,
            const RuleWords& words = {})
        : base(checkpoint::open_recognised(folder)),
          adapters(settings,
                   base,
                   make_row_rules(base.checkpoint, base.model, words),
                   5,
                   type,
                   at::kCPU),
          network(load(type)) {}

    runtime::Network load(at::ScalarType type) {
        return runtime::Network::load(base.checkpoint,
                                      runtime::describe(base.checkpoint, base.model),
                                      {.weight_type = type, .adapters = adapters.choice()});
    }

    checkpoint::RecognisedCheckpoint base;
    LoraAdapters adapters;
    runtime::Network network;
};

LoraSettings start_of(const std::string& model) {
    return {.start = (golden(model) / "start").string()};
}

struct GoldenLora : ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models,
                         GoldenLora,
                         ::testing::Values("qwen3", "qwen3_5"),
                         [](const auto& instance) { return instance.param; });

TEST_P(GoldenLora, AgreesWithPeftStepByStepAndInEveryFactor) {
    const Json expected = Json::parse(io::read_text(golden(GetParam()) / "expected.json"));
    const BatchesFile batches(golden_folder(GetParam()) / "batches.safetensors");
    const NamedTensors final_factors =
        testing::read_tensors(golden(GetParam()) / "final.safetensors");
    struct Precision {
        at::ScalarType type;
        double figures;
        double factors;
    };
    for (const Precision& precision :
         {Precision{at::kDouble, 1e-9, 1e-7}, Precision{at::kFloat, 1e-6, 1e-3}}) {
        Adapted adapted(
            golden_folder(GetParam()) / "initial", start_of(GetParam()), precision.type);
        adapted.adapters.check();
        Trainer trainer(std::move(adapted.network), testing::golden_settings());
        const double rate = expected.at("learning_rate").as_double("rate");
        for (std::size_t step = 0; step < 5; ++step) {
            const StepFigures done = trainer.step(batches.batches(step), rate);
            const double loss = expected.at("losses").as_array("losses")[step].as_double("loss");
            const double norm = expected.at("norms").as_array("norms")[step].as_double("norm");
            EXPECT_NEAR(done.loss, loss, precision.figures * loss) << step;
            EXPECT_NEAR(done.grad_norm, norm, 10.0 * precision.figures * norm) << step;
        }
        ASSERT_EQ(trainer.weights().size(), final_factors.size());
        for (const auto& [name, factor] : trainer.weights()) {
            EXPECT_LE(relative_rms(factor, final_factors.at("base_model.model." + name)),
                      precision.factors)
                << name;
        }
    }
}

TEST_P(GoldenLora, WritesWhatItStartedFrom) {
    const TemporaryFolder folder;
    Adapted adapted(golden_folder(GetParam()) / "initial", start_of(GetParam()), at::kFloat);
    const Trainer trainer(std::move(adapted.network), {});
    adapted.adapters.write(trainer.weights(), folder.path());
    EXPECT_EQ(io::read_text(folder.path() / "adapter_config.json"),
              io::read_text(golden(GetParam()) / "start/adapter_config.json"));
    const NamedTensors written = testing::read_tensors(folder.path() / "adapter_model.safetensors");
    const NamedTensors start =
        testing::read_tensors(golden(GetParam()) / "start/adapter_model.safetensors");
    ASSERT_EQ(written.size(), start.size());
    for (const auto& [name, tensor] : start) {
        EXPECT_TRUE(testing::is_equal(written.at(name), tensor)) << name;
    }
}

TEST(Lora, ANewAdapterChangesNothingAndIsReadAsItWasWritten) {
    const fs::path initial = golden_folder("qwen3_5") / "initial";
    const BatchesFile batches(golden_folder("qwen3_5") / "batches.safetensors");
    Adapted adapted(initial, parse_lora("r=4,rslora=true,targets=q_proj,in_proj_qkv"), at::kFloat);
    adapted.adapters.check();
    EXPECT_EQ(adapted.adapters.count(), 3U);
    const Trainer trainer(std::move(adapted.network), {});
    const Trainer plain(testing::initial_network("qwen3_5", at::kFloat), {});
    EXPECT_NEAR(trainer.loss(batches.batches(0)), plain.loss(batches.batches(0)), 1e-6);
    const TemporaryFolder folder;
    adapted.adapters.write(trainer.weights(), folder.path());
    const checkpoint::Adapter adapter = checkpoint::open_adapter(folder.path());
    EXPECT_EQ(adapter.config.rank, 4U);
    EXPECT_EQ(adapter.config.alpha, 8.0);
    EXPECT_TRUE(adapter.config.has_root_scale);
    EXPECT_TRUE(adapter.config.obstacles.empty());
    EXPECT_THAT(adapter.config.target_modules, ElementsAre("in_proj_qkv", "q_proj"));
    const auto match = checkpoint::match_adapter(adapter, adapted.base);
    EXPECT_EQ(match.modules.size(), 3U);
    EXPECT_TRUE(match.unmatched.empty() && match.problems.empty());
    // The first factor lies within +-1/sqrt(inputs) and fills it.
    const at::Tensor down = trainer.weights().at("model.layers.1.self_attn.q_proj.lora_A.weight");
    EXPECT_LE(down.abs().max().item<double>(), 1.0 / std::sqrt(32.0));
    EXPECT_GE(down.abs().max().item<double>(), 0.9 / std::sqrt(32.0));
    EXPECT_LE(std::abs(down.mean().item<double>()), 0.3 / std::sqrt(32.0));
}

TEST(Lora, FrozenRowsGetNoAdapter) {
    // q_proj of the softmax layer holds queries and gates: the gates may learn.
    const BatchesFile batches(golden_folder("qwen3_5") / "batches.safetensors");
    Adapted adapted(golden_folder("qwen3_5") / "initial",
                    parse_lora("r=4,targets=q_proj,k_proj,v_proj,in_proj_qkv"),
                    at::kFloat,
                    {.frozen = {"qk"}});
    adapted.adapters.check();
    EXPECT_EQ(adapted.adapters.count(), 4U);
    const RowRules rules = adapted.adapters.rules();
    ASSERT_EQ(rules.size(), 1U);
    EXPECT_EQ(rules.begin()->first, "model.layers.1.self_attn.q_proj.lora_B.weight");
    Trainer trainer(std::move(adapted.network), {.rules = rules});
    trainer.step(batches.batches(0), 1e-2);
    const at::Tensor up = trainer.weights().at(rules.begin()->first).detach();
    std::int64_t frozen = 0;
    for (const RowRule& rule : rules.begin()->second) {
        const auto rows = static_cast<std::int64_t>(rule.rows.size());
        frozen += rows;
        EXPECT_EQ(up.narrow(0, static_cast<std::int64_t>(rule.rows.begin), rows)
                      .abs()
                      .max()
                      .item<double>(),
                  0.0);
    }
    EXPECT_EQ(2 * frozen, up.size(0));
    EXPECT_GT(up.abs().max().item<double>(), 0.0);
    const TemporaryFolder folder;
    adapted.adapters.write(trainer.weights(), folder.path());
    const checkpoint::Adapter adapter = checkpoint::open_adapter(folder.path());
    EXPECT_THAT(adapter.config.target_modules, Not(Contains("k_proj")));
}

TEST(Lora, SaysWhatItCannotTrain) {
    const fs::path initial = golden_folder("qwen3") / "initial";
    const auto failure = [](const auto& body) {
        try {
            body();
        } catch (const Error& error) {
            return std::string(error.what());
        }
        return std::string("nothing was refused");
    };
    EXPECT_THAT(failure([] { parse_lora("r=0"); }), HasSubstr("'r=0'"));
    EXPECT_THAT(failure([] { parse_lora("r=2.9"); }), HasSubstr("whole number"));
    EXPECT_THAT(failure([] { parse_lora("r=0.5"); }), HasSubstr("whole number"));
    EXPECT_THAT(failure([] { parse_lora("r=4,dropout=0.1"); }), HasSubstr("'dropout=0.1'"));
    EXPECT_THAT(failure([] { parse_lora("rslora=yes"); }), HasSubstr("true or false"));
    EXPECT_THAT(failure([&] {
                    const Adapted adapted(initial, parse_lora("r=4,targets=c_attn"), at::kFloat);
                    adapted.adapters.check();
                }),
                HasSubstr("'c_attn'"));
    EXPECT_THAT(failure([&] {
                    const Adapted adapted(
                        initial, parse_lora("r=4"), at::kFloat, {.rates = {"qk=0.1"}});
                }),
                HasSubstr("--lr-scale"));
    EXPECT_THAT(failure([&] {
                    const Adapted adapted(
                        initial, parse_lora("r=4,targets=q_proj"), at::kFloat, {.frozen = {"qk"}});
                    adapted.adapters.check();
                }),
                HasSubstr("nothing to learn"));
}

struct LoraOfFamilies : ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Models,
                         LoraOfFamilies,
                         ::testing::ValuesIn(anamnesis::testing::list_tiny_models()),
                         [](const auto& instance) { return instance.param; });

/// Every matrix that takes an adapter adds it, whatever reads the matrix, and every factor learns.
TEST_P(LoraOfFamilies, IsTheModelWithTheProductAddedToItsWeights) {
    const fs::path folder = fs::path(ANAMNESIS_TESTDATA) / "models" / GetParam();
    Adapted adapted(folder, parse_lora("r=2,alpha=3"), at::kDouble);
    adapted.adapters.check();
    Random random(3);
    std::map<std::string, at::Tensor> merged;
    for (const auto& [name, factor] : adapted.network.trained()) {
        if (const std::size_t end = name.find(".lora_B.weight"); end != std::string::npos) {
            const at::NoGradGuard no_gradients;
            const std::string path = name.substr(0, end);
            auto* values = factor.mutable_data_ptr<double>();
            for (std::int64_t i = 0; i < factor.numel(); ++i) {
                values[i] = 0.05 * random.normal();
            }
            const at::Tensor& down = adapted.network.trained().at(path + ".lora_A.weight");
            merged.emplace(path + ".weight",
                           adapted.network.parameters().at(path + ".weight").detach() +
                               1.5 * at::mm(factor.detach(), down.detach()));
        }
    }
    const at::Tensor ids = at::remainder(at::arange(24, at::kLong) * 7 + 3, 40).view({2, 12});
    const runtime::Network other =
        runtime::Network::load(adapted.base.checkpoint,
                               runtime::describe(adapted.base.checkpoint, adapted.base.model),
                               {.weight_type = at::kDouble, .replacements = merged});
    const at::Tensor with_adapters = adapted.network.logits(adapted.network.forward(ids));
    const at::Tensor with_weights = other.logits(other.forward(ids));
    EXPECT_LE(relative_rms(with_adapters, with_weights), 1e-9);
    with_adapters.square().sum().backward();
    for (const auto& [name, factor] : adapted.network.trained()) {
        ASSERT_TRUE(factor.grad().defined()) << name;
        EXPECT_GT(factor.grad().abs().max().item<double>(), 0.0) << name;
    }
    // Token by token, where products over few rows have a path of their own.
    runtime::NetworkState state = adapted.network.make_state();
    runtime::NetworkState* states[] = {&state};
    at::Tensor last;
    for (std::int64_t t = 0; t < ids.size(1); ++t) {
        last = adapted.network.advance(ids.narrow(0, 0, 1).narrow(1, t, 1), states);
    }
    EXPECT_LE(relative_rms(adapted.network.logits(last).squeeze(),
                           with_weights.select(0, 0).select(0, ids.size(1) - 1)),
              1e-6);
}

}  // namespace
}  // namespace anamnesis::train
