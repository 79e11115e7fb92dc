// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/initial_checkpoint.hpp"

#include "anamnesis/runtime/torch.hpp"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include <ATen/ops/arange.h>
#include <ATen/ops/isfinite.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/digest.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/tensor_roles.hpp"

#include "golden_run.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::train {
namespace {

namespace fs = std::filesystem;
using anamnesis::testing::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;

Json load_config(const std::string& model) {
    return Json::parse_python(
        io::read_text(fs::path(ANAMNESIS_TESTDATA) / "models" / model / "config.json"));
}

struct Written {
    const char* model;
    Initialiser initialiser;
    const char* digest;
};

/// Runs of the demo and of the reproduction begin with these bytes.
TEST(InitialCheckpoint, KeepsItsBytes) {
    for (const Written& expected :
         {Written{"hypenet_base",
                  Initialiser::range,
                  "7f0b496d03228d662bdf4ebd17684c9541d6a7c7c90ce9c013dcf4c9740e5b02"},
          Written{"hypenet_base",
                  Initialiser::fan_in,
                  "b5196015e6199143a496236c2959088f84ed2eaeb0f6b08b703b334c3da44276"},
          Written{"hypenet_scaled",
                  Initialiser::fan_in,
                  "cf72feb5c4ed00c684b8a39fb5eb43e2e160e4ee44153e75b31605974ee86466"},
          Written{"hypenet_rope_attn",
                  Initialiser::range,
                  "530c8f347cbd1279cc034d66fb31c6b8793a1bbb4955b753be48ba2268c49b41"},
          Written{"qwen3_base",
                  Initialiser::range,
                  "de4a7302d5fd296f7ab7a25d9b51f24ba7fcdf6848c6e5a4ad2621c55a41c060"},
          Written{"qwen3_base",
                  Initialiser::fan_in,
                  "922100d73888815bfaa23d17c71319fa9f61e27bd0ec1f5e81ea35255b43c453"}}) {
        const TemporaryFolder folder;
        write_initial_checkpoint(
            load_config(expected.model), expected.initialiser, 7, folder.path());
        EXPECT_EQ(compute_sha256(io::read_text(folder.path() / "model.safetensors")),
                  expected.digest)
            << expected.model;
    }
}

class InitialCheckpointOf : public ::testing::TestWithParam<std::string> {};

TEST_P(InitialCheckpointOf, IsRecognisedWithoutWarningAndRuns) {
    const TemporaryFolder folder;
    write_initial_checkpoint(load_config(GetParam()), Initialiser::fan_in, 3, folder.path());
    const auto files = checkpoint::Checkpoint::open(folder.path());
    const checkpoint::Model model = checkpoint::recognise(files);
    for (const checkpoint::Finding& finding : model.findings) {
        EXPECT_EQ(finding.severity, checkpoint::Severity::note) << finding.sentence;
    }
    const auto network = runtime::Network::load(files, runtime::describe(files, model), {});
    const at::Tensor logits =
        network.logits(network.forward(at::arange(40, at::kLong).unsqueeze(0)));
    EXPECT_TRUE(at::isfinite(logits).all().item<bool>());
    EXPECT_GT(logits.std().item<double>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Families,
                         InitialCheckpointOf,
                         ::testing::Values("bailing_hybrid_hub_config",
                                           "bailing_moe_linear_odd",
                                           "bailing_moe_v2_5_odd",
                                           "bamba_hub_config",
                                           "bloom_odd",
                                           "deepseek_v2_base",
                                           "deepseek_v3_base",
                                           "falcon_alibi",
                                           "falcon_base",
                                           "falcon_h1_odd",
                                           "gemma2_odd",
                                           "gemma3_hub_config",
                                           "gemma_base",
                                           "gpt_bigcode_base",
                                           "gpt_neox_base",
                                           "gpt_neox_serial",
                                           "gpt_oss_hub_config",
                                           "granitemoehybrid_hub_config",
                                           "hypenet_base",
                                           "jamba_hub_config",
                                           "jamba_odd",
                                           "jet_base",
                                           "jet_other",
                                           "kimi_linear_hub_config",
                                           "kimi_linear_odd",
                                           "lfm2_hub_config",
                                           "lfm2_moe_odd",
                                           "lfm3_base",
                                           "minimax_odd",
                                           "mixtral_base",
                                           "nemotron_h_hub_config",
                                           "olmo_hybrid_base",
                                           "phi3_base",
                                           "phi_odd",
                                           "qwen2_5_base",
                                           "qwen2_5_sliding",
                                           "qwen2_moe_base",
                                           "qwen3_5_base",
                                           "qwen3_5_moe",
                                           "qwen3_5_multimodal_wrapper",
                                           "qwen3_base",
                                           "qwen3_moe_base",
                                           "qwen3_next_base",
                                           "qwen3_next_odd",
                                           "recurrent_gemma_odd",
                                           "zamba2_odd"));

TEST(InitialCheckpoint, DrawsDecaysAsMamba2HasThem) {
    const TemporaryFolder folder;
    write_initial_checkpoint(
        load_config("olmo_hybrid_base"), Initialiser::fan_in, 3, folder.path());
    const NamedTensors tensors = testing::read_tensors(folder.path() / "model.safetensors");
    std::set<double> rates;
    for (std::int64_t i = 0; i < 3; ++i) {
        const auto rate =
            std::exp(tensors.at("model.layers.0.linear_attn.A_log")[i].item<double>());
        EXPECT_GT(rate, 0.0);
        EXPECT_LE(rate, 16.1);
        rates.insert(rate);
        const auto step = std::log1p(
            std::exp(tensors.at("model.layers.0.linear_attn.dt_bias")[i].item<double>()));
        EXPECT_GT(step, 0.00099);
        EXPECT_LT(step, 0.101);
    }
    EXPECT_EQ(rates.size(), 3U);
}

TEST(InitialCheckpoint, NumbersTheRatesOfMamba1) {
    const TemporaryFolder folder;
    write_initial_checkpoint(load_config("jamba_odd"), Initialiser::fan_in, 3, folder.path());
    const at::Tensor rates = testing::read_tensors(folder.path() / "model.safetensors")
                                 .at("model.layers.1.mamba.A_log")
                                 .exp();
    for (std::int64_t n = 0; n < rates.size(1); ++n) {
        EXPECT_NEAR(rates[5][n].item<double>(), static_cast<double>(n + 1), 1e-4);
    }
}

TEST(InitialCheckpoint, DrawsDecaysOfGriffin) {
    const TemporaryFolder folder;
    write_initial_checkpoint(
        load_config("recurrent_gemma_odd"), Initialiser::fan_in, 3, folder.path());
    const at::Tensor rates = testing::read_tensors(folder.path() / "model.safetensors")
                                 .at("model.layers.0.temporal_block.rg_lru.recurrent_param");
    std::set<double> decays;
    for (std::int64_t i = 0; i < rates.size(0); ++i) {
        const double decay = 1.0 / (1.0 + std::exp(rates[i].item<double>()));
        EXPECT_GE(decay, 0.899);
        EXPECT_LE(decay, 0.9991);
        decays.insert(decay);
    }
    EXPECT_GT(decays.size(), 40U);
}

std::string describe_failure(const Json& config) {
    const TemporaryFolder folder;
    try {
        write_initial_checkpoint(config, Initialiser::range, 1, folder.path() / "out");
    } catch (const Error& error) {
        EXPECT_FALSE(fs::exists(folder.path() / "out"));
        return std::string(to_string(error.kind())) + ": " + error.what();
    }
    return "no error";
}

TEST(InitialCheckpoint, RefusesWhatDoesNotRun) {
    Json config = load_config("hypenet_base");
    config.set("lightning_use_short_conv", true);
    EXPECT_THAT(describe_failure(config),
                AllOf(HasSubstr("unsupported"), HasSubstr("lightning_use_short_conv")));
    config = load_config("qwen3_base");
    config.set("vocab_size", Json());
    EXPECT_THAT(describe_failure(config), AllOf(HasSubstr("malformed"), HasSubstr("'vocab_size'")));
    config = load_config("qwen3_base");
    config.set("dtype", "float16");
    EXPECT_THAT(describe_failure(config), AllOf(HasSubstr("unsupported"), HasSubstr("'float16'")));
}

}  // namespace
}  // namespace anamnesis::train
