// SPDX-License-Identifier: Apache-2.0
#include "routing_file.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::AllOf;
using testing::ForgedCheckpoint;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// The example of docs/routing-file.md.
std::string documented_example() {
    const std::filesystem::path path =
        std::filesystem::path(ANAMNESIS_TESTDATA).parent_path() / "docs" / "routing-file.md";
    const std::string text = io::read_text(path);
    const std::size_t begin = text.find("```json\n") + 8;
    return text.substr(begin, text.find("```\n", begin) - begin);
}

ForgedCheckpoint forged_for_example() {
    ForgedCheckpoint forged;
    forged.config = Json::parse(R"({"model_type": "my_hybrid", "rope_theta": 20000.0})");
    forged.add("model.embed_tokens.weight", {7, 2});
    for (const char* layer : {"3", "7", "11"}) {
        const std::string prefix = std::string("model.layers.") + layer + ".attn.";
        forged.add(prefix + "wq.weight", {4096, 2});
        forged.add(prefix + "wkv.weight", {512, 2});
        forged.add(prefix + "q_norm.weight", {128});
    }
    forged.add("model.layers.0.ssm.in_proj.weight", {4, 2});
    return forged;
}

std::string describe_failure(std::string_view routing) {
    try {
        parse_routing_file(routing, Json());
    } catch (const Error& error) {
        return std::string(to_string(error.kind())) + ": " + error.message();
    }
    return "no error";
}

std::string with_tensor(std::string_view tensor) {
    return R"({"anamnesis_routing": 1, "family": "f", "layers": 2, "softmax_layers": [0],
               "tensors": [)" +
           std::string(tensor) + "]}";
}

TEST(RoutingFile, DescribesTheDocumentedExample) {
    const TemporaryFolder folder;
    forged_for_example().write(folder);
    const auto routing = folder.write("routing.json", documented_example());
    const Model model = recognise(Checkpoint::open(folder.path()), {.routing = routing});
    EXPECT_EQ(model.family, "my-hybrid");
    EXPECT_EQ(model.layers.size(), 12U);
    EXPECT_EQ(model.find_layers(LayerKind::full).size(), 2U);
    EXPECT_EQ(model.find_layers(LayerKind::sliding).size(), 1U);
    ASSERT_TRUE(model.heads);
    EXPECT_EQ(*model.heads, (HeadLayout{.query_heads = 16, .kv_heads = 2, .head_dim = 128}));
    EXPECT_EQ(model.rotary.dimensions, 64U);
    EXPECT_EQ(model.qk_norm, QkNorm::per_head);
    EXPECT_EQ(model.position.rope_theta, 20000.0);
    const AttentionTensor* query = model.find_attention("model.layers.3.attn.wq.weight");
    ASSERT_NE(query, nullptr);
    ASSERT_EQ(query->blocks.size(), 32U);
    EXPECT_EQ(query->blocks[2].role, RowRole::query);
    EXPECT_EQ(query->blocks[2].head, 1U);
    EXPECT_EQ(query->blocks[2].rows, (RowRange{256, 384}));
    EXPECT_EQ(query->blocks[31].role, RowRole::gate);
    EXPECT_EQ(query->blocks[31].head, 15U);
    const AttentionTensor* norm = model.find_attention("model.layers.11.attn.q_norm.weight");
    ASSERT_NE(norm, nullptr);
    EXPECT_EQ(norm->group, AttentionGroup::norm);
    EXPECT_EQ(norm->kind, LayerKind::sliding);
}

TEST(RoutingFile, MustCoverExactlyTheRowsOfTheTensor) {
    const TemporaryFolder folder;
    ForgedCheckpoint forged = forged_for_example();
    forged.at("model.layers.7.attn.wkv.weight").shape = {513, 2};
    forged.write(folder);
    const auto routing = folder.write("routing.json", documented_example());
    try {
        recognise(Checkpoint::open(folder.path()), {.routing = routing});
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(),
                    AllOf(HasSubstr("'model.layers.7.attn.wkv.weight'"),
                          HasSubstr("[513, 2]"),
                          HasSubstr("[512, any]")));
    }
}

TEST(RoutingFile, RefusesWhatItDoesNotKnow) {
    EXPECT_THAT(describe_failure(R"({"anamnesis_routing": 1, "layer": 3})"),
                AllOf(HasSubstr("malformed"), HasSubstr("unknown key 'layer'")));
    EXPECT_THAT(describe_failure(R"({"anamnesis_routing": 2})"),
                AllOf(HasSubstr("unsupported"), HasSubstr("version 2")));
    EXPECT_THAT(describe_failure(R"({"anamnesis_routing": 1})"), HasSubstr("no key 'family'"));
    EXPECT_THAT(describe_failure(R"({"anamnesis_routing": 1, "family": "f", "layers": 2})"),
                HasSubstr("no softmax layer"));
    EXPECT_THAT(
        describe_failure(
            R"({"anamnesis_routing": 1, "family": "f", "layers": 2, "softmax_layers": [2]})"),
        AllOf(HasSubstr("'softmax_layers' is 2"), HasSubstr("0 to 1")));
    EXPECT_THAT(describe_failure(R"({"anamnesis_routing": 1, "family": "f", "layers": 2,
                               "softmax_layers": [1], "sliding_layers": [1]})"),
                HasSubstr("duplicate layer 1"));
    EXPECT_THAT(describe_failure(with_tensor("")), HasSubstr("names no tensor"));
    EXPECT_THAT(describe_failure(with_tensor(R"({"name": "a.weight", "layout": []})")),
                HasSubstr("{layer}"));
    EXPECT_THAT(describe_failure(with_tensor(R"({"name": "a.{layer}.b", "layout": []})")),
                HasSubstr("is empty"));
    EXPECT_THAT(describe_failure(with_tensor(
                    R"({"name": "a.{layer}.b", "layout": [{"role": "head", "rows": 2}]})")),
                AllOf(HasSubstr("'head'"), HasSubstr("query, key, value, gate, latent")));
    EXPECT_THAT(describe_failure(with_tensor(
                    R"({"name": "a.{layer}.b", "layout": [{"role": "key", "rows": 0}]})")),
                AllOf(HasSubstr("'rows'"), HasSubstr("is 0")));
    EXPECT_THAT(describe_failure(with_tensor(
                    R"({"name": "a.{layer}.b", "group": "x",
                        "layout": [{"role": "key", "rows": 1}]})")),
                AllOf(HasSubstr("'x'"), HasSubstr("weight, bias, norm, adapter")));
}

TEST(RoutingFile, NeedNotTellHeads) {
    const Blueprint blueprint =
        parse_routing_file(with_tensor(R"({"name": "model.layers.{layer}.q.weight",
                        "layout": [{"role": "query", "rows": 3}]})"),
                           Json());
    EXPECT_FALSE(blueprint.heads);
    EXPECT_EQ(blueprint.softmax.tensors.front().name, "layers.{layer}.q.weight");
    EXPECT_FALSE(blueprint.position.uses_rope);
}

}  // namespace
}  // namespace anamnesis::checkpoint
