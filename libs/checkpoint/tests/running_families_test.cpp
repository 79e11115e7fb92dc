// SPDX-License-Identifier: Apache-2.0
// What configs of Gemma 2, Ling, Phi, Falcon, BLOOM and StarCoder say of models that run.
#include <cstddef>
#include <string>
#include <utility>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::HasSubstr;

Json load_config(const std::string& model) {
    return Json::parse_python(
        io::read_text(std::string(ANAMNESIS_TESTDATA) + "/models/" + model + "/config.json"));
}

/// The config of a tiny model with one key set.
Blueprint blueprint_with(const std::string& model, const std::string& key, Json value) {
    Json config = load_config(model);
    config.set(key, std::move(value));
    return make_blueprint(config);
}

std::string obstacle_with(const std::string& model, const std::string& key, Json value) {
    const Blueprint blueprint = blueprint_with(model, key, std::move(value));
    return blueprint.obstacle ? blueprint.obstacle->message() : "none";
}

const AttentionSpec& attention_of(const Blueprint& blueprint, std::size_t layer) {
    return std::get<AttentionSpec>(blueprint.specs.at(layer).mixer);
}

TEST(Gemma2Config, FillsInCapsScaleAndWindowsAndLeavesOutWhatIsNull) {
    const Blueprint filled = make_blueprint(
        Json::parse(R"({"model_type": "gemma2", "num_hidden_layers": 2, "hidden_size": 64,
                        "num_attention_heads": 4, "head_dim": 32, "vocab_size": 8})"));
    ASSERT_TRUE(filled.is_complete);
    EXPECT_EQ(filled.logit_softcap, 30.0);
    EXPECT_EQ(filled.embedding_scale, 8.0);
    EXPECT_EQ(attention_of(filled, 0).softcap, 50.0);
    EXPECT_EQ(attention_of(filled, 0).window, 4096U);
    EXPECT_EQ(attention_of(filled, 1).window, std::nullopt);
    EXPECT_EQ(attention_of(filled, 1).logit_scale, 1.0 / 16.0);
    EXPECT_EQ(filled.specs[0].mixer_residual.norms, NormPlacement::both);
    const Blueprint plain = blueprint_with("gemma2_odd", "attn_logit_softcapping", Json());
    EXPECT_EQ(attention_of(plain, 0).softcap, std::nullopt);
    EXPECT_EQ(plain.logit_softcap, 5.0);
    EXPECT_THAT(obstacle_with("gemma2_odd", "attn_logit_softcapping", Json(0.0)),
                HasSubstr("'attn_logit_softcapping'"));
    EXPECT_THAT(obstacle_with("gemma2_odd", "use_bidirectional_attention", Json(true)),
                HasSubstr("use_bidirectional_attention"));
}

TEST(RecurrentGemmaConfig, FillsInWidthsWindowAndCapAndRoundsItsScale) {
    const Blueprint filled = make_blueprint(Json::parse(
        R"({"model_type": "recurrent_gemma", "num_hidden_layers": 3, "hidden_size": 2560,
                        "num_attention_heads": 10, "vocab_size": 8})"));
    ASSERT_TRUE(filled.is_complete);
    EXPECT_EQ(filled.logit_softcap, 30.0);
    EXPECT_EQ(filled.embedding_scale, 50.5);
    EXPECT_EQ(attention_of(filled, 2).window, 2048U);
    EXPECT_EQ(attention_of(filled, 2).heads.kv_heads, 10U);
    const auto recurrence = std::get<RgLruSpec>(filled.specs.at(0).mixer);
    EXPECT_EQ(recurrence.channels, 2560U);
    EXPECT_EQ(recurrence.heads, 10U);
    EXPECT_EQ(recurrence.conv_width, 4U);
    EXPECT_EQ(std::get<DenseSpec>(filled.specs.at(0).feed_forward).width, 3840U);
    EXPECT_THAT(obstacle_with("recurrent_gemma_odd", "lru_width", Json(51)),
                HasSubstr("'lru_width' is 51, expected a multiple of the 2 heads"));
    for (const char* key : {"logits_soft_cap", "attention_window_size"}) {
        EXPECT_THAT(obstacle_with("recurrent_gemma_odd", key, Json()), HasSubstr(key));
    }
    EXPECT_THAT(obstacle_with("recurrent_gemma_odd",
                              "rope_parameters",
                              Json::parse(R"({"rope_type": "linear", "factor": 2.0})")),
                HasSubstr("rotary encoding is scaled"));
    EXPECT_THAT(obstacle_with("recurrent_gemma_odd", "intermediate_size", Json(1)),
                HasSubstr("'intermediate_size'"));
}

TEST(Gemma3Config, FillsInTheScaleOfScoresWhateverTheWidthOfHeads) {
    const Blueprint filled = blueprint_with("gemma3_odd", "query_pre_attn_scalar", Json());
    EXPECT_EQ(attention_of(filled, 0).logit_scale, 1.0 / 16.0);
    const Blueprint stated = blueprint_with("gemma3_odd", "query_pre_attn_scalar", Json(100.0));
    EXPECT_EQ(attention_of(stated, 0).logit_scale, 0.1);
}

TEST(HybridConfigs, RefuseAnActivationThatTheirMixersWouldTakeToo) {
    for (const char* model : {"qwen3_next_base",
                              "qwen3_5_base",
                              "olmo_hybrid_base",
                              "granitemoehybrid_hub_config",
                              "bamba_hub_config",
                              "falcon_h1_odd",
                              "jamba_odd",
                              "minimax_odd",
                              "kimi_linear_odd"}) {
        EXPECT_THAT(obstacle_with(model, "hidden_act", Json("gelu")),
                    HasSubstr("the linear layers"))
            << model;
        EXPECT_EQ(obstacle_with(model, "hidden_act", Json("swish")), "none") << model;
    }
    EXPECT_THAT(obstacle_with("nemotron_h_hub_config", "mamba_hidden_act", Json("gelu")),
                HasSubstr("mamba_hidden_act"));
}

TEST(LingConfig, GivesEachLayerADecayOfItsOwn) {
    const Blueprint blueprint = make_blueprint(load_config("bailing_moe_v2_5_odd"));
    ASSERT_TRUE(blueprint.is_complete);
    const auto lightning = [&](std::size_t layer) {
        return std::get<LightningSpec>(blueprint.specs.at(layer).mixer);
    };
    EXPECT_DOUBLE_EQ(lightning(0).slope_scale, 1.25 + 1e-5);
    EXPECT_DOUBLE_EQ(lightning(2).slope_scale, 0.75 + 1e-5);
    EXPECT_EQ(lightning(0).rotary->dimensions, 4U);
    EXPECT_EQ(lightning(0).norm_groups, 3U);
    // The last layer is no whole group.
    for (const std::size_t layer : {1U, 3U, 4U}) {
        EXPECT_TRUE(std::holds_alternative<LatentAttentionSpec>(blueprint.specs[layer].mixer));
    }
}

TEST(LingConfig, RefusesByNameWhatIsReadInSeveralWays) {
    for (const char* model : {"bailing_moe_linear_odd", "bailing_moe_v2_5_odd"}) {
        for (const auto& [key, value] : {std::pair{"linear_silu", true},
                                         std::pair{"use_linear_silu", true},
                                         std::pair{"use_qkv_bias", true},
                                         std::pair{"norm_head", true},
                                         std::pair{"linear_rope", false},
                                         std::pair{"norm_topk_prob", false},
                                         std::pair{"moe_router_enable_expert_bias", false}}) {
            EXPECT_THAT(obstacle_with(model, key, Json(value)), HasSubstr(key)) << model;
        }
        EXPECT_THAT(obstacle_with(model, "score_function", Json("softmax")),
                    HasSubstr("'score_function'"));
        EXPECT_THAT(obstacle_with(model, "moe_shared_expert_intermediate_size", Json(11)),
                    HasSubstr("'moe_shared_expert_intermediate_size'"));
    }
    EXPECT_THAT(obstacle_with("bailing_moe_linear_odd", "num_hidden_layers", Json(5)),
                HasSubstr("'layer_group_size'"));
    EXPECT_THAT(obstacle_with("bailing_moe_linear_odd", "score_function", Json()),
                HasSubstr("'score_function'"));
}

TEST(FalconConfig, HasOneNormOrTwoAndSlopesInPlaceOfRotation) {
    const Blueprint two = make_blueprint(load_config("falcon_base"));
    EXPECT_NE(two.find_named("h.0.ln_mlp.weight"), nullptr);
    EXPECT_EQ(attention_of(two, 0).alibi_factor, std::nullopt);
    const Blueprint one = make_blueprint(load_config("falcon_alibi"));
    EXPECT_NE(one.find_named("h.1.input_layernorm.bias"), nullptr);
    EXPECT_EQ(one.find_named("h.1.ln_mlp.weight"), nullptr);
    EXPECT_FALSE(attention_of(one, 0).rotary);
    EXPECT_THAT(obstacle_with("falcon_base", "parallel_attn", Json(false)),
                HasSubstr("'parallel_attn'"));
    EXPECT_THAT(obstacle_with("falcon_base", "num_ln_in_parallel_attn", Json(3)),
                HasSubstr("'num_ln_in_parallel_attn'"));
}

TEST(OlderConfigs, AreRefusedByNameWhereTheyAskForMore) {
    EXPECT_THAT(obstacle_with("phi_odd", "qk_layernorm", Json(true)), HasSubstr("'qk_layernorm'"));
    EXPECT_THAT(obstacle_with("bloom_odd", "apply_residual_connection_post_layernorm", Json(true)),
                HasSubstr("'apply_residual_connection_post_layernorm'"));
    EXPECT_THAT(obstacle_with("gpt_bigcode_base", "add_cross_attention", Json(true)),
                HasSubstr("'add_cross_attention'"));
    EXPECT_EQ(attention_of(blueprint_with("gpt_bigcode_base", "scale_attn_weights", Json(false)), 0)
                  .logit_scale,
              1.0);
    EXPECT_EQ(make_blueprint(load_config("gpt_bigcode_base")).context_length, 256U);
}

}  // namespace
}  // namespace anamnesis::checkpoint
