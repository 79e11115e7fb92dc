// SPDX-License-Identifier: Apache-2.0
// Families that no library here writes: their rows, stated by hand.
#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/checkpoint/row_layout.hpp"

#include "attention_rules.hpp"
#include "family.hpp"

namespace anamnesis::checkpoint {
namespace {

Blueprint parse_blueprint(const char* text) {
    const Json config = Json::parse(text);
    const ConfigReader reader(config);
    return make_blueprint(recognise_family(reader), reader);
}

/// "query 0 [0,4) key 0 [4,8)…" of the rule with that name.
std::string print_rows_of_rule(const Blueprint& blueprint, const std::string& name) {
    const auto rule = std::ranges::find(blueprint.softmax.tensors, name, &TensorRule::name);
    if (rule == blueprint.softmax.tensors.end()) {
        return "no rule";
    }
    std::string text;
    for (const RowBlock& block : make_blocks(rule->layout, count_rows(rule->layout))) {
        text += format("{} {} [{},{}) ",
                       to_string(block.role),
                       block.head ? format("{}", *block.head) : std::string("-"),
                       block.rows.begin,
                       block.rows.end);
    }
    return text;
}

TEST(Families, GroupFalconByKeyValueHead) {
    const Blueprint blueprint = parse_blueprint(R"({"model_type": "falcon", "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 4, "num_kv_heads": 2,
        "new_decoder_architecture": true})");
    EXPECT_EQ(print_rows_of_rule(blueprint, "h.{layer}.self_attention.query_key_value.weight"),
              "query 0 [0,2) query 1 [2,4) key 0 [4,6) value 0 [6,8) "
              "query 2 [8,10) query 3 [10,12) key 1 [12,14) value 1 [14,16) ");
    EXPECT_EQ(blueprint.evidence, verified);
    EXPECT_THROW(parse_blueprint(R"({"model_type": "falcon", "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 4})"),
                 Error);
}

TEST(Families, InterleaveBloomAndBlockStarCoder) {
    const Blueprint bloom =
        parse_blueprint(R"({"model_type": "bloom", "hidden_size": 4, "n_layer": 1, "n_head": 2})");
    EXPECT_EQ(
        print_rows_of_rule(bloom, "h.{layer}.self_attention.query_key_value.bias"),
        "query 0 [0,2) key 0 [2,4) value 0 [4,6) query 1 [6,8) key 1 [8,10) value 1 [10,12) ");
    EXPECT_FALSE(bloom.position.uses_rope);
    const Blueprint coder =
        parse_blueprint(R"({"model_type": "gpt_bigcode", "n_embd": 4, "n_layer": 1, "n_head": 2})");
    EXPECT_EQ(print_rows_of_rule(coder, "h.{layer}.attn.c_attn.weight"),
              "query 0 [0,2) query 1 [2,4) key 0 [4,6) value 0 [6,8) ");
}

TEST(Families, DescribeRingLinearWithItsOwnNorms) {
    const Blueprint blueprint = parse_blueprint(R"({"model_type": "bailing_moe_linear",
        "hidden_size": 8, "num_hidden_layers": 4, "layer_group_size": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "rotary_dim": 2,
        "use_qk_norm": true, "use_qkv_bias": false})");
    EXPECT_EQ(print_rows_of_rule(blueprint, "layers.{layer}.attention.query_key_value.weight"),
              "query 0 [0,4) query 1 [4,8) key 0 [8,12) value 0 [12,16) ");
    EXPECT_EQ(print_rows_of_rule(blueprint, "layers.{layer}.attention.key_layernorm.weight"),
              "key - [0,4) ");
    EXPECT_EQ(blueprint.rotary.dimensions, 2U);
    EXPECT_EQ(blueprint.evidence, from_source);
}

TEST(Families, DescribeRing25AsLatentAttention) {
    const Blueprint blueprint = parse_blueprint(R"({"model_type": "bailing_moe_v2_5",
        "hidden_size": 8, "num_hidden_layers": 5, "layer_group_size": 4,
        "num_attention_heads": 1, "q_lora_rank": 3, "kv_lora_rank": 5, "qk_nope_head_dim": 2,
        "qk_rope_head_dim": 2, "v_head_dim": 3})");
    EXPECT_EQ(print_rows_of_rule(blueprint, "layers.{layer}.attention.q_a_proj.weight"),
              "query - [0,3) ");
    EXPECT_EQ(print_rows_of_rule(blueprint, "layers.{layer}.attention.kv_a_proj_with_mqa.weight"),
              "latent - [0,5) key - [5,7) ");
    EXPECT_EQ(print_rows_of_rule(blueprint, "layers.{layer}.attention.kv_b_proj.weight"),
              "key 0 [0,2) value 0 [2,5) ");
    EXPECT_EQ(blueprint.rotary, (RotaryLayout{RotaryLayout::Pairs::interleaved, 2, 2}));
}

TEST(Families, DescribeRecurrentGemmaAndPhi) {
    const Blueprint gemma = parse_blueprint(R"({"model_type": "recurrent_gemma", "hidden_size": 8,
        "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 1})");
    EXPECT_EQ(print_rows_of_rule(gemma, "layers.{layer}.temporal_block.q_proj.weight"),
              "query 0 [0,4) query 1 [4,8) ");
    EXPECT_EQ(gemma.rotary.dimensions, 2U);
    EXPECT_EQ(gemma.layers[2].kinds, std::vector{LayerKind::sliding});
    const Blueprint phi = parse_blueprint(R"({"model_type": "phi", "hidden_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2})");
    EXPECT_EQ(print_rows_of_rule(phi, "layers.{layer}.self_attn.k_proj.bias"),
              "key 0 [0,4) key 1 [4,8) ");
    EXPECT_EQ(phi.rotary.dimensions, 2U);
}

TEST(Families, RecogniseEveryFamilyByItsOwnName) {
    for (const std::string& family : known_families()) {
        const Family* found = find_family(family);
        ASSERT_NE(found, nullptr) << family;
        EXPECT_EQ(found->name, family);
        EXPECT_FALSE(found->model_types.empty());
    }
}

}  // namespace
}  // namespace anamnesis::checkpoint
