// SPDX-License-Identifier: Apache-2.0
// What configs of families with latent attention, Kimi delta attention or short convolutions say.
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class Spec>
const Spec& mixer_of(const Blueprint& blueprint, std::size_t layer) {
    return std::get<Spec>(blueprint.specs.at(layer).mixer);
}

std::string obstacle_of(const std::string& config) {
    const Blueprint blueprint = make_blueprint(Json::parse(config));
    return blueprint.obstacle && blueprint.obstacle->kind() == ErrorKind::unsupported
               ? blueprint.obstacle->message()
               : "none";
}

std::uint32_t lfm2_width(const std::string& keys) {
    const Blueprint blueprint = make_blueprint(Json::parse(
        R"({"model_type": "lfm2", "num_hidden_layers": 1, "full_attn_idxs": [],
            "num_attention_heads": 4, "hidden_size": 64, )" +
        keys + "}"));
    return std::get<DenseSpec>(blueprint.specs.at(0).feed_forward).width;
}

TEST(Lfm2Config, AdjustsTheWidthOfFeedForwards) {
    EXPECT_EQ(lfm2_width(R"("block_ff_dim": 6656)"), 4608U);
    EXPECT_EQ(lfm2_width(R"("intermediate_size": 1, "block_ff_dim": 10240)"), 6912U);
    EXPECT_EQ(lfm2_width(R"("intermediate_size": 12288)"), 8192U);
    EXPECT_EQ(lfm2_width(R"("intermediate_size": 10752, "block_auto_adjust_ff_dim": false)"),
              10752U);
    EXPECT_EQ(lfm2_width(R"("intermediate_size": 100, "block_ffn_dim_multiplier": null)"), 66U);
    EXPECT_EQ(lfm2_width(R"("intermediate_size": 100, "block_ffn_dim_multiplier": 1.3,
                            "block_multiple_of": 8)"),
              88U);  // int(1.3 * 66) = 85
}

TEST(Lfm3Config, FillsInItsPatternOfLayersAndTwoRotaryEncodings) {
    const Blueprint blueprint = make_blueprint(Json::parse(
        R"({"model_type": "lfm3", "num_hidden_layers": 6, "hidden_size": 64, "vocab_size": 8})"));
    ASSERT_TRUE(blueprint.is_complete);
    std::vector<LayerKind> kinds;
    for (const Layer& layer : blueprint.layers) {
        kinds.push_back(layer.kinds.front());
    }
    EXPECT_THAT(kinds,
                ElementsAre(LayerKind::conv,
                            LayerKind::conv,
                            LayerKind::full,
                            LayerKind::conv,
                            LayerKind::sliding,
                            LayerKind::conv));
    EXPECT_EQ(mixer_of<ShortConvolutionSpec>(blueprint, 0).taps, 7U);
    const auto& full = mixer_of<AttentionSpec>(blueprint, 2);
    const auto& sliding = mixer_of<AttentionSpec>(blueprint, 4);
    EXPECT_EQ(full.rotary->theta, 1e6);
    EXPECT_EQ(full.rotary->dimensions, 128U);
    EXPECT_EQ(full.rotary->scaling.at("partial_rotary_factor").as_double("factor"), 0.5);
    EXPECT_EQ(sliding.rotary->theta, 1e4);
    EXPECT_EQ(full.window, std::nullopt);
    EXPECT_EQ(sliding.window, 256U);
    EXPECT_EQ(blueprint.specs[0].mixer_residual.norms, NormPlacement::both);
}

TEST(Lfm3Config, PlansTheRowsOfQueriesAndKeysForARepair) {
    const Blueprint blueprint = make_blueprint(Json::parse(
        R"({"model_type": "lfm3", "layer_types": ["conv", "sliding_attention", "full_attention"],
            "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 10, "attention_bias": true, "vocab_size": 8})"));
    for (const char* layer : {"1", "2"}) {
        const std::string module = std::string("layers.") + layer + ".self_attn.";
        for (const auto& [name, rows, role] : {std::tuple{"q_proj", 40U, RowRole::query},
                                               std::tuple{"k_proj", 20U, RowRole::key},
                                               std::tuple{"v_proj", 20U, RowRole::value}}) {
            const PlannedTensor* weight = blueprint.find_named(module + name + ".weight");
            ASSERT_NE(weight, nullptr) << name;
            EXPECT_EQ(weight->shape, (Shape{rows, 32}));
            ASSERT_TRUE(weight->attention);
            EXPECT_EQ(weight->attention->layout.segments.front().role, role);
            EXPECT_NE(blueprint.find_named(module + name + ".bias"), nullptr);
        }
        EXPECT_FALSE(blueprint.find_named(module + "gate_proj.weight")->attention);
        EXPECT_EQ(blueprint.find_named(module + "gate_proj.weight")->shape, (Shape{4, 32}));
    }
    EXPECT_EQ(blueprint.find_named("layers.0.self_attn.q_proj.weight"), nullptr);
}

constexpr const char* kimi_sizes =
    R"("model_type": "kimi_linear", "num_hidden_layers": 4, "hidden_size": 32, "vocab_size": 8,
       "num_attention_heads": 2)";

TEST(KimiConfig, CountsLayersFromOneAndReadsBothSpellings) {
    const Blueprint published = make_blueprint(
        Json::parse(std::string("{") + kimi_sizes +
                    R"(, "linear_attn_config": {"full_attn_layers": [2], "kda_layers": [1, 3, 4],
            "head_dim": 16, "num_heads": 3, "short_conv_kernel_size": 5},
            "head_dim": 72, "first_k_dense_replace": 2, "moe_layer_freq": 2})"));
    ASSERT_TRUE(published.is_complete);
    EXPECT_TRUE(std::holds_alternative<LatentAttentionSpec>(published.specs[1].mixer));
    const auto& delta = mixer_of<KimiDeltaSpec>(published, 0);
    EXPECT_EQ(delta.heads, 3U);
    EXPECT_EQ(delta.head_dim, 16U);
    EXPECT_EQ(delta.conv_width, 5U);
    EXPECT_EQ(delta.gate_rank, 16U);
    EXPECT_TRUE(std::holds_alternative<DenseSpec>(published.specs[1].feed_forward));
    EXPECT_TRUE(std::holds_alternative<MixtureSpec>(published.specs[2].feed_forward));
    EXPECT_TRUE(std::holds_alternative<DenseSpec>(published.specs[3].feed_forward));

    const Blueprint saved = make_blueprint(
        Json::parse(std::string("{") + kimi_sizes +
                    R"(, "layer_types": ["full_attention", "linear_attention", "linear_attention",
            "full_attention"], "linear_head_dim": 8, "linear_num_heads": 5,
            "linear_conv_kernel_dim": 3,
            "mlp_layer_types": ["sparse", "dense", "sparse", "dense"]})"));
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(saved, 1).heads, 5U);
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(saved, 1).conv_width, 3U);
    EXPECT_TRUE(std::holds_alternative<MixtureSpec>(saved.specs[0].feed_forward));
    EXPECT_TRUE(std::holds_alternative<DenseSpec>(saved.specs[1].feed_forward));
}

TEST(KimiConfig, RefusesOtherModelsByNameAndKeepsTheirRows) {
    for (const auto& [keys, named] : {
             std::pair{R"("linear_attn_config": {"use_full_rank_gate": true})",
                       "use_full_rank_gate"},
             std::pair{R"("routed_expert_hidden_size": 16)", "routed_expert_hidden_size"},
             std::pair{R"("attn_res_block_size": 4)", "attn_res_block_size"},
             std::pair{R"("mla_use_nope": false)", "mla_use_nope"},
             std::pair{R"("moe_router_activation_func": "softmax")", "moe_router_activation_func"},
         }) {
        const std::string config = std::string("{") + kimi_sizes +
                                   R"(, "layer_types": ["linear_attention", "full_attention",
                                      "linear_attention", "linear_attention"], )" +
                                   keys + "}";
        EXPECT_THAT(obstacle_of(config), HasSubstr(named));
        EXPECT_FALSE(make_blueprint(Json::parse(config)).tensors.empty());
    }
}

constexpr const char* ling_sizes =
    R"("model_type": "bailing_hybrid", "num_hidden_layers": 4, "hidden_size": 32,
       "vocab_size": 8, "num_attention_heads": 2, "layer_group_size": 2)";

TEST(LingConfig, TakesTheWidthOfDeltaHeadsWhereItIs) {
    const Blueprint published = make_blueprint(Json::parse(
        std::string("{") + ling_sizes +
        R"(, "head_dim": 24, "q_lora_rank": 20, "kda_lower_bound": -4, "rope_theta": 5000.0,
            "expert_swiglu_limit_list": [null, 0, null, null]})"));
    ASSERT_TRUE(published.is_complete) << published.obstacle->message();
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(published, 0).head_dim, 24U);
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(published, 0).lower_bound, -4.0);
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(published, 0).gate_rank, std::nullopt);
    const auto& latent = mixer_of<LatentAttentionSpec>(published, 1);
    EXPECT_EQ(latent.query_rank, 20U);
    EXPECT_TRUE(latent.has_head_gate);
    EXPECT_TRUE(latent.pairs_neighbours);
    EXPECT_EQ(latent.rotary->theta, 5000.0);
    EXPECT_EQ(latent.rotary->dimensions, latent.rope_dim);

    const Blueprint saved = make_blueprint(
        Json::parse(std::string("{") + ling_sizes +
                    R"(, "head_dim": 64, "linear_head_dim": 24, "kda_safe_gate": false})"));
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(saved, 0).head_dim, 24U);
    EXPECT_EQ(mixer_of<KimiDeltaSpec>(saved, 0).lower_bound, std::nullopt);
    EXPECT_EQ(mixer_of<LatentAttentionSpec>(saved, 1).rotary->theta, 6e6);
}

TEST(LingConfig, RefusesByNameWhatNobodysCodeExplains) {
    for (const auto& [keys, named] : {
             std::pair{R"("expert_swiglu_limit_list": [0, 7.0, 0, 0])", "expert_swiglu_limit_list"},
             std::pair{R"("share_expert_swiglu_limit_list": [0, 0, 0, 1])",
                       "share_expert_swiglu_limit_list"},
             std::pair{R"("use_qkv_bias": true)", "use_qkv_bias"},
             std::pair{R"("score_function": "softmax")", "score_function"},
             std::pair{R"("gated_attention_proj_granularity_type": "element_wise")",
                       "gated_attention_proj_granularity_type"},
         }) {
        EXPECT_THAT(obstacle_of(std::string("{") + ling_sizes + ", " + keys + "}"),
                    HasSubstr(named));
    }
}

TEST(DeepseekConfig, ScalesLogitsAsYarnSays) {
    const Blueprint blueprint = make_blueprint(Json::parse(
        R"({"model_type": "deepseek_v3", "num_hidden_layers": 4, "hidden_size": 32,
            "vocab_size": 8, "num_attention_heads": 2, "n_routed_experts": 16, "n_group": 4,
            "topk_group": 2, "rope_scaling": {"type": "yarn", "factor": 40, "mscale": 1.0,
            "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096}})"));
    ASSERT_TRUE(blueprint.is_complete);
    const auto& latent = mixer_of<LatentAttentionSpec>(blueprint, 0);
    const double factor = 0.1 * std::log(40.0) + 1.0;
    EXPECT_NEAR(latent.scale, factor * factor / std::sqrt(192.0), 1e-12);
    EXPECT_EQ(latent.query_rank, 1536U);
    EXPECT_TRUE(std::holds_alternative<DenseSpec>(blueprint.specs[2].feed_forward));
    const auto& experts = std::get<MixtureSpec>(blueprint.specs[3].feed_forward);
    EXPECT_EQ(experts.router.groups, 4U);
    EXPECT_EQ(experts.router.scale, 2.5);
    EXPECT_TRUE(experts.router.is_corrected);
}

TEST(DeepseekConfig, ScalesNothingWithoutATypeOfScaling) {
    for (const char* type : {R"("rope_type": "default", )", ""}) {
        const Blueprint blueprint = make_blueprint(
            Json::parse(std::string(R"({"model_type": "deepseek_v3", "num_hidden_layers": 4,
                "hidden_size": 32, "vocab_size": 8, "num_attention_heads": 2,
                "n_routed_experts": 16, "n_group": 4, "topk_group": 2, "rope_parameters": {)") +
                        type + R"("factor": 40, "mscale_all_dim": 1.0, "rope_theta": 10000.0}})"));
        ASSERT_TRUE(blueprint.is_complete);
        EXPECT_NEAR(
            mixer_of<LatentAttentionSpec>(blueprint, 0).scale, 1.0 / std::sqrt(192.0), 1e-12);
    }
}

TEST(DeepseekConfig, RanksGroupsOfTheSecondVersionByTheirBestExpert) {
    const std::string sizes =
        R"({"model_type": "deepseek_v2", "num_hidden_layers": 1, "hidden_size": 32,
            "vocab_size": 8, "num_attention_heads": 2, "q_lora_rank": null, "n_group": 8,
            "topk_group": 3, "n_shared_experts": 2, "moe_intermediate_size": 12, )";
    const Blueprint grouped =
        make_blueprint(Json::parse(sizes + R"("topk_method": "group_limited_greedy"})"));
    ASSERT_TRUE(grouped.is_complete);
    const auto& experts = std::get<MixtureSpec>(grouped.specs[0].feed_forward);
    EXPECT_EQ(experts.router.groups, 8U);
    EXPECT_EQ(experts.router.kept_groups, 3U);
    EXPECT_EQ(experts.router.ranked_experts, 1U);
    EXPECT_FALSE(experts.router.is_renormalised);
    EXPECT_EQ(experts.shared->dense.width, 24U);
    EXPECT_EQ(mixer_of<LatentAttentionSpec>(grouped, 0).query_rank, std::nullopt);
    const Blueprint greedy = make_blueprint(Json::parse(sizes + R"("topk_method": "greedy"})"));
    EXPECT_EQ(std::get<MixtureSpec>(greedy.specs[0].feed_forward).router.groups, 1U);
    EXPECT_THAT(obstacle_of(sizes + R"("topk_method": "noaux_tc"})"), HasSubstr("noaux_tc"));
}

}  // namespace
}  // namespace anamnesis::checkpoint
