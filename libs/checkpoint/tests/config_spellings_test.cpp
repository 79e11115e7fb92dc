// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

namespace anamnesis::checkpoint {
namespace {

std::string spelled(const std::vector<Layer>& layers) {
    std::string text;
    for (const Layer& layer : layers) {
        for (const LayerKind kind : layer.kinds) {
            text += std::string(to_string(kind)) + (kind == layer.kinds.back() ? " " : "+");
        }
    }
    return text;
}

std::string describe_kinds(const char* config) {
    return spelled(layers_of_config(Json::parse(config)));
}

std::string describe_failure(const char* config) {
    try {
        layers_of_config(Json::parse(config));
    } catch (const Error& error) {
        return std::string(to_string(error.kind())) + ": " + error.message();
    }
    return "no error";
}

TEST(ConfigSpellings, GiveTheKindsThatTheLibraryDerives) {
    const auto path =
        std::filesystem::path(ANAMNESIS_TESTDATA) / "surgery" / "config_spellings.json";
    const Json cases = Json::parse(io::read_text(path));
    ASSERT_GE(cases.as_array("cases").size(), 39U);
    for (const Json& item : cases.as_array("cases")) {
        std::string expected;
        for (const Json& layer : item.at("kinds").as_array("kinds")) {
            const auto& kinds = layer.as_array("layer");
            for (const Json& kind : kinds) {
                expected += kind.as_string("kind") + (&kind == &kinds.back() ? " " : "+");
            }
        }
        EXPECT_EQ(spelled(layers_of_config(item.at("config"))), expected)
            << item.at("config").dump();
    }
}

TEST(ConfigSpellings, RefuseTwoRotaryEncodingsAtOnce) {
    const auto find_obstacle = [](const char* parameters, const char* scaling) {
        Json config = Json::parse(R"({"model_type": "qwen3", "hidden_size": 64, "vocab_size": 99,
            "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096})");
        config.set("rope_parameters", Json::parse(parameters));
        config.set("rope_scaling", Json::parse(scaling));
        const Blueprint blueprint = make_blueprint(config, {});
        EXPECT_EQ(blueprint.is_complete, !blueprint.obstacle.has_value());
        return blueprint.obstacle ? blueprint.obstacle->message() : std::string();
    };
    const char* plain = R"({"rope_type": "default", "rope_theta": 1000000.0})";
    const char* yarn = R"({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1000000.0})";
    EXPECT_THAT(find_obstacle(plain, R"({"type": "yarn", "factor": 4.0})"),
                ::testing::HasSubstr("remove rope_scaling"));
    EXPECT_THAT(find_obstacle(plain, R"({"rope_type": "default", "rope_theta": 10000.0})"),
                ::testing::HasSubstr("remove rope_scaling"));
    EXPECT_EQ(find_obstacle(yarn, R"({"type": "yarn", "factor": 4})"), "");
    EXPECT_EQ(find_obstacle(plain, R"({"type": "mrope", "mrope_section": [2, 3, 3]})"), "");
    EXPECT_EQ(find_obstacle(plain, "null"), "");
    EXPECT_EQ(find_obstacle("{}", R"({"type": "yarn", "factor": 4.0})"), "");
}

TEST(ConfigSpellings, TakeAPythonListForAList) {
    EXPECT_EQ(describe_kinds(R"({"model_type": "jet_nemotron", "num_hidden_layers": 4,
                           "layer_types": "['jet', 'attn', \"swa\", 'jet']"})"),
              "linear full sliding linear ");
}

TEST(ConfigSpellings, TakeNumbersWrittenAsStrings) {
    EXPECT_EQ(describe_kinds(R"({"model_type": "llama", "num_hidden_layers": "2"})"), "full full ");
}

TEST(ConfigSpellings, TakeTheOlderNamesOfHypenet) {
    EXPECT_EQ(describe_kinds(R"({"model_type": "hypenet", "num_hidden_layers": 3,
                           "mixer_types": ["lightning_attn", "attn", "lightning-attn"]})"),
              "linear full linear ");
}

TEST(ConfigSpellings, TakeTheAttnTypeListOfMiniMax) {
    EXPECT_EQ(describe_kinds(R"({"model_type": "minimax_text_01", "num_hidden_layers": 3,
                           "attn_type_list": [0, 0, 1]})"),
              "linear linear full ");
}

TEST(ConfigSpellings, TellRing25FromLing3ByItsClass) {
    EXPECT_EQ(describe_kinds(R"({"model_type": "bailing_hybrid", "num_hidden_layers": 5,
                           "layer_group_size": 4,
                           "architectures": ["BailingMoeV2_5ForCausalLM"]})"),
              "linear linear linear mla mla ");
    EXPECT_EQ(describe_kinds(R"({"model_type": "bailing_hybrid", "num_hidden_layers": 5,
                           "layer_group_size": 4})"),
              "linear linear linear mla linear ");
    EXPECT_EQ(describe_kinds(R"({"model_type": "bailing_moe_linear", "num_hidden_layers": 4,
                           "layer_group_size": 2})"),
              "linear full linear full ");
}

TEST(ConfigSpellings, FindTheTextModelInsideAWrapperOfAnotherName) {
    EXPECT_EQ(describe_kinds(R"({"model_type": "llava", "text_config":
                           {"model_type": "llama", "num_hidden_layers": 1}})"),
              "full ");
}

TEST(ConfigSpellings, NameTheKeyThatIsWrong) {
    EXPECT_EQ(describe_failure(R"({"model_type": "llama"})"),
              "malformed: config.json has no key 'num_hidden_layers'");
    EXPECT_EQ(describe_failure(R"({"model_type": "llama", "num_hidden_layers": "two"})"),
              "malformed: config key 'num_hidden_layers' is not a number: 'two'");
    EXPECT_EQ(describe_failure(R"({"model_type": "llama", "num_hidden_layers": 1000000})"),
              "malformed: config.json declares 1000000 layers, expected 1 to 100000");
    EXPECT_EQ(describe_failure(R"({"model_type": "qwen3_next", "num_hidden_layers": 3,
                             "layer_types": ["full_attention"]})"),
              "malformed: config key 'layer_types' lists 1 layers, num_hidden_layers is 3");
    EXPECT_EQ(describe_failure(R"({"model_type": "qwen3_next", "layer_types": ["chunked"]})"),
              "malformed: config key 'layer_types' names a kind of layer that is not known: "
              "'chunked'");
    EXPECT_EQ(describe_failure(R"({"model_type": "kimi_linear", "num_hidden_layers": 2,
                             "linear_attn_config": {"full_attn_layers": [0]}})"),
              "malformed: full_attn_layers counts layers from 1 to 2, but names 0");
    EXPECT_EQ(describe_failure(R"({"model_type": "bamba", "num_hidden_layers": 2,
                             "attn_layer_indices": [2]})"),
              "malformed: config key 'attn_layer_indices' names layer 2, the last is 1");
}

TEST(ConfigSpellings, SayWhatToDoAboutAFamilyThatNobodyKnows) {
    EXPECT_EQ(describe_failure(R"({"model_type": "qwen3_nexd"})"),
              "unsupported: the family 'qwen3_nexd' is not known; the nearest known one is "
              "'qwen3_next'; describe its rows with --routing FILE, see docs/routing-file.md");
    const std::string gpt2 = describe_failure(R"({"model_type": "gpt2"})");
    EXPECT_NE(gpt2.find("unsupported: the family 'gpt2' is not supported"), std::string::npos);
    EXPECT_NE(gpt2.find("[in, out]"), std::string::npos);
    EXPECT_NE(describe_failure("{}").find("has no model_type"), std::string::npos);
}

TEST(KnownFamilies, AreSortedAndEachIsThere) {
    const auto families = known_families();
    EXPECT_TRUE(std::ranges::is_sorted(families));
    for (const char* family : {"hypenet", "jet_nemotron", "qwen3_next", "qwen3_5", "zamba2"}) {
        EXPECT_NE(std::ranges::find(families, family), families.end()) << family;
    }
}

}  // namespace
}  // namespace anamnesis::checkpoint
