// SPDX-License-Identifier: Apache-2.0
// What configs mean that leave keys out, or state them under older names: as transformers 5.24
// reads them.
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::HasSubstr;

/// A small config of a family, with these keys as well.
Json make_config(std::string_view model_type, std::string_view keys = "{}") {
    Json config = Json::parse(R"({"hidden_size": 64, "vocab_size": 99, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2})");
    config.set("model_type", Json(std::string(model_type)));
    const Json more = Json::parse(keys);
    for (const auto& [key, value] : more.as_object("keys")) {
        config.set(key, value);
    }
    return config;
}

Blueprint plan(std::string_view model_type, std::string_view keys = "{}") {
    Blueprint blueprint = make_blueprint(make_config(model_type, keys));
    EXPECT_TRUE(blueprint.is_complete)
        << (blueprint.obstacle ? blueprint.obstacle->message() : std::string());
    return blueprint;
}

std::string find_obstacle(std::string_view model_type, std::string_view keys) {
    const Blueprint blueprint = make_blueprint(make_config(model_type, keys));
    return blueprint.obstacle ? blueprint.obstacle->message() : "none";
}

const AttentionSpec& attention_of(const Blueprint& blueprint, std::size_t layer = 0) {
    return std::get<AttentionSpec>(blueprint.specs.at(layer).mixer);
}

double original_context(const Blueprint& blueprint) {
    return attention_of(blueprint)
        .rotary.value()
        .scaling.at("original_max_position_embeddings")
        .as_double("original");
}

Activation activation_of(const Blueprint& blueprint) {
    return std::get<DenseSpec>(blueprint.specs.front().feed_forward).activation;
}

std::string list_kinds(const Blueprint& blueprint) {
    std::string kinds;
    for (const Layer& layer : blueprint.layers) {
        kinds += format("{} ", to_string(layer.kinds.front()));
    }
    return kinds;
}

TEST(ConfigDefaults, AreThoseOfEachFamily) {
    for (const char* family : {"mixtral", "phi3", "gpt_oss", "minimax"}) {
        EXPECT_EQ(plan(family).norm_eps, 1e-5) << family;
        EXPECT_EQ(plan(family, R"({"rms_norm_eps": 1e-6})").norm_eps, 1e-6) << family;
    }
    EXPECT_EQ(plan("llama").norm_eps, 1e-6);
    EXPECT_EQ(plan("llama").context_length, 2048U);
    EXPECT_EQ(plan("qwen3").context_length, 32'768U);
    EXPECT_EQ(plan("phi3").context_length, 4096U);
    EXPECT_EQ(plan("gemma3_text").context_length, 131'072U);
    EXPECT_EQ(attention_of(plan("qwen3")).heads.head_dim, 128U);
    EXPECT_EQ(attention_of(plan("qwen3_moe")).heads.head_dim, 16U);
}

TEST(ConfigDefaults, GptOssWithoutScalingIsYarn) {
    for (const char* keys : {"{}", R"({"rope_scaling": null})"}) {
        const Json scaling = attention_of(plan("gpt_oss", keys)).rotary.value().scaling;
        EXPECT_EQ(scaling.at("rope_type").as_string("type"), "yarn");
        EXPECT_EQ(scaling.at("factor").as_double("factor"), 32.0);
    }
    const RotarySettings stated =
        attention_of(plan("gpt_oss", R"({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})"))
            .rotary.value();
    EXPECT_EQ(stated.scaling.find("original_max_position_embeddings"), nullptr);
    EXPECT_EQ(stated.context_length, 131'072U);
    EXPECT_TRUE(attention_of(plan("gpt_oss", R"({"rope_parameters": {}})"))
                    .rotary.value()
                    .scaling.is_null());
}

TEST(ConfigDefaults, TheOriginalContextBesideAScalingWins) {
    for (const char* type : {"yarn", "llama3", "longrope"}) {
        const std::string beside = format(R"({{"original_max_position_embeddings": 512,
            "rope_scaling": {{"rope_type": "{}", "factor": 4.0}}}})",
                                          type);
        EXPECT_EQ(original_context(plan("llama", beside)), 512.0) << type;
        const std::string both = format(R"({{"original_max_position_embeddings": 512,
            "rope_scaling": {{"type": "{}", "factor": 4.0,
                              "original_max_position_embeddings": 64}}}})",
                                        type);
        EXPECT_EQ(original_context(plan("qwen2", both)), 512.0) << type;
    }
    constexpr const char* phi = R"({{"rope_scaling": {{"type": "longrope", {}
        "short_factor": [1, 1, 1, 1, 1, 1, 1, 1], "long_factor": [2, 2, 2, 2, 2, 2, 2, 2]}}}})";
    EXPECT_EQ(original_context(plan("phi3", format(phi, ""))), 4096.0);
    EXPECT_EQ(
        original_context(plan("phi3", format(phi, R"("original_max_position_embeddings": 64,)"))),
        64.0);
    EXPECT_EQ(original_context(plan("gemma3_text", R"({"original_max_position_embeddings": 512,
                  "layer_types": ["full_attention", "sliding_attention", "full_attention",
                                  "full_attention"], "sliding_window": 8,
                  "rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0,
                      "original_max_position_embeddings": 64},
                      "sliding_attention": {"rope_type": "default"}}})")),
              64.0);
    EXPECT_EQ(attention_of(plan("llama", R"({"original_max_position_embeddings": 512,
                  "rope_scaling": {"type": "linear", "factor": 4.0}})"))
                  .rotary.value()
                  .scaling.find("original_max_position_embeddings"),
              nullptr);
}

TEST(ConfigDefaults, TwoRotaryTypesAreRefused) {
    EXPECT_THAT(
        find_obstacle(
            "llama", R"({"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 4.0}})"),
        HasSubstr("rope_type 'yarn' and type 'linear'"));
    EXPECT_EQ(
        find_obstacle("llama",
                      R"({"rope_scaling": {"type": "yarn", "rope_type": "yarn", "factor": 4.0}})"),
        "none");
    EXPECT_EQ(
        find_obstacle("qwen2", R"({"rope_scaling": {"type": "mrope", "rope_type": "default"}})"),
        "none");
}

TEST(ConfigDefaults, TheFirstGemmaMeansTheApproximation) {
    EXPECT_EQ(activation_of(plan("gemma", R"({"hidden_act": "gelu"})")), Activation::gelu_tanh);
    EXPECT_EQ(activation_of(plan("gemma", R"({"hidden_act": "gelu", "hidden_activation": null})")),
              Activation::gelu_tanh);
    EXPECT_EQ(activation_of(plan("gemma", R"({"hidden_activation": "gelu"})")),
              Activation::gelu_tanh);
    EXPECT_EQ(activation_of(plan("gemma", R"({"hidden_act": "silu"})")), Activation::silu);
    // The later ones read one key alone.
    EXPECT_EQ(activation_of(plan("gemma2", R"({"hidden_act": "silu"})")), Activation::gelu_tanh);
    EXPECT_EQ(activation_of(plan("gemma3_text", R"({"hidden_act": "gelu"})")),
              Activation::gelu_tanh);
}

TEST(ConfigDefaults, WindowsOfQwenMixturesFollowRulesOfTheirOwn) {
    EXPECT_EQ(list_kinds(plan("qwen3_moe", R"({"use_sliding_window": true,
                  "max_window_layers": 2, "sliding_window": 8})")),
              "sliding sliding sliding sliding ");
    EXPECT_EQ(list_kinds(plan("qwen3_moe", R"({"sliding_window": 8})")), "full full full full ");
    EXPECT_EQ(list_kinds(plan("qwen2_moe", R"({"use_sliding_window": true,
                  "max_window_layers": 3, "sliding_window": 8})")),
              "sliding full sliding full ");
    EXPECT_EQ(list_kinds(plan("qwen2_moe", R"({"use_sliding_window": true, "layer_types":
                  ["full_attention", "sliding_attention", "full_attention", "full_attention"]})")),
              "full sliding full full ");
    EXPECT_EQ(attention_of(plan("mistral")).window, 4096U);
    EXPECT_EQ(attention_of(plan("mistral", R"({"sliding_window": null})")).window, std::nullopt);
    EXPECT_EQ(
        attention_of(plan("qwen2", R"({"use_sliding_window": true, "max_window_layers": 3})"), 3)
            .window,
        4096U);
}

TEST(ConfigDefaults, NamesOfOlderConfigsAreRead) {
    const auto mamba_of = [](const char* keys) {
        return std::get<Mamba2Spec>(plan("nemotron_h",
                                         format(R"({{"hybrid_override_pattern": "M*-M",
                     "mamba_num_heads": 8, "mamba_head_dim": 8, {}}})",
                                                keys))
                                        .specs.front()
                                        .mixer);
    };
    const Mamba2Spec older = mamba_of(R"("mamba_n_groups": 2, "mamba_d_conv": 3,
        "mamba_conv_bias": false, "mamba_dt_min": 0.25)");
    EXPECT_EQ(older.groups, 2U);
    EXPECT_EQ(older.conv_width, 3U);
    EXPECT_FALSE(older.has_conv_bias);
    EXPECT_EQ(older.least_step, 0.25);
    EXPECT_EQ(mamba_of(R"("n_groups": 4, "time_step_min": 0.5)").least_step, 0.5);
    EXPECT_EQ(plan("gpt_bigcode", R"({"max_position_embeddings": 256})").context_length, 256U);
    EXPECT_TRUE(std::holds_alternative<DenseSpec>(
        plan("qwen3_moe", R"({"num_local_experts": 0})").specs.front().feed_forward));
    EXPECT_EQ(plan("lfm2", R"({"tie_embedding": true, "tie_word_embeddings": false,
                  "layer_types": ["conv", "full_attention", "conv", "conv"]})")
                  .is_head_tied,
              true);
}

}  // namespace
}  // namespace anamnesis::checkpoint
