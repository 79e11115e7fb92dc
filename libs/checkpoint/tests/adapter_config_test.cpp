// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/adapter_config.hpp"

#include <cmath>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

AdapterConfig parse(std::string_view text) {
    return parse_adapter_config(text);
}

TEST(AdapterConfig, TakesTheFirstPatternOfTheFileThatMatchesTheEndOfThePath) {
    const AdapterConfig config = parse(R"({"r": 2, "lora_alpha": 6,
        "rank_pattern": {"^model.layers.0.self_attn.o_proj": 1, "v_proj": 3, "layers\\.1\\.": 9,
                         ".*layers\\.1\\.mlp\\.up_proj": 5, "proj": 7},
        "alpha_pattern": {"layers\\.2\\..*": 10}})");
    EXPECT_EQ(find_strength(config, "model.layers.0.self_attn.o_proj").rank, 1U);
    EXPECT_EQ(find_strength(config, "x.model.layers.0.self_attn.o_proj").rank, 2U);
    EXPECT_EQ(find_strength(config, "model.layers.1.self_attn.v_proj").rank, 3U);
    EXPECT_EQ(find_strength(config, "model.layers.1.mlp.up_proj").rank, 5U);
    EXPECT_EQ(find_strength(config, "model.layers.1.mlp.down_proj").rank, 2U);
    EXPECT_EQ(find_strength(config, "model.layers.2.mlp.up_proj").alpha, 10.0);
    EXPECT_EQ(find_strength(config, "model.layers.12.mlp.up_proj").alpha, 6.0);
}

TEST(AdapterConfig, ScalesByRankOrItsRoot) {
    const AdapterConfig plain = parse(R"({"r": 4, "lora_alpha": 8})");
    EXPECT_EQ(make_scale(plain, {.rank = 4, .alpha = 8.0}), 2.0);
    const AdapterConfig root = parse(R"({"r": 4, "lora_alpha": 8, "use_rslora": true})");
    EXPECT_EQ(make_scale(root, {.rank = 4, .alpha = 8.0}), 4.0);
}

TEST(AdapterConfig, TakesDefaultsOfPeftForKeysThatAreAbsentAndNoneForNumbersThatAreNone) {
    const AdapterConfig config = parse("{}");
    EXPECT_EQ(config.rank, 8U);
    EXPECT_EQ(config.alpha, 8.0);
    try {
        parse(R"({"r": 4, "lora_alpha": NaN})");
        ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("lora_alpha is null, NaN or infinite"));
    }
}

TEST(AdapterConfig, NamesWhatIsInTheWay) {
    const auto obstacle = [](std::string_view text) {
        const AdapterConfig config = parse(text);
        EXPECT_THAT(config.obstacles, SizeIs(1)) << text;
        return config.obstacles.empty() ? std::string() : config.obstacles.front().sentence;
    };
    EXPECT_THAT(obstacle(R"({"init_lora_weights": "PiSSA_niter_16"})"), HasSubstr("PiSSA"));
    EXPECT_THAT(obstacle(R"({"peft_type": "LOHA"})"), HasSubstr("LOHA"));
    EXPECT_THAT(obstacle(R"({"layer_replication": [[0, 2]]})"), HasSubstr("layer replication"));
    EXPECT_THAT(obstacle(R"({"use_something_new": true})"), HasSubstr("use_something_new"));
    EXPECT_THAT(parse(R"({"init_lora_weights": "gaussian", "loftq_config": {},
        "use_qalora": false, "arrow_config": null, "target_parameters": []})")
                    .obstacles,
                SizeIs(0));
}

TEST(AdapterConfig, RefusesWhatCannotBe) {
    for (const char* text : {R"({"r": 0})",
                             R"({"r": 2.5})",
                             R"({"r": "4"})",
                             R"({"r": 4294967296})",
                             R"({"lora_alpha": 1e300})",
                             R"({"lora_alpha": null})",
                             R"({"lora_alpha": NaN})",
                             R"({"lora_alpha": -Infinity})",
                             R"({"lora_alpha": "8"})",
                             R"({"r": null})",
                             R"({"r": NaN})",
                             R"({"alpha_pattern": {"q": NaN}})",
                             R"({"rank_pattern": {"q": -1}})",
                             R"({"rank_pattern": [1]})",
                             R"({"modules_to_save": "lm_head"})",
                             R"({"trainable_token_indices": [-1]})",
                             R"([])",
                             R"({"r": 4)"}) {
        try {
            parse(text);
            ADD_FAILURE() << text;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed) << text;
        }
    }
    // A pattern that is none, and one that would never end.
    for (const char* pattern : {"(", "(a+)+$"}) {
        AdapterConfig config;
        config.rank_pattern = {{pattern, 2.0}};
        EXPECT_THROW(static_cast<void>(find_strength(config, std::string(64, 'a') + "!")), Error)
            << pattern;
    }
}

}  // namespace
}  // namespace anamnesis::checkpoint
