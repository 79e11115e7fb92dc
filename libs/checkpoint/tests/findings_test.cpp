// SPDX-License-Identifier: Apache-2.0
//
// What is found when a checkpoint is opened.
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::ElementsAre;
using testing::forged_llama;
using testing::ForgedCheckpoint;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

std::vector<Finding> collect_findings(const ForgedCheckpoint& forged) {
    const TemporaryFolder folder;
    forged.write(folder);
    return open_recognised(folder.path(), {}, {.missing = Missing::warn}).findings();
}

std::set<std::string> list_codes(const ForgedCheckpoint& forged) {
    std::set<std::string> codes;
    for (const Finding& finding : collect_findings(forged)) {
        codes.insert(finding.code);
    }
    return codes;
}

/// A Llama that is whole: what the plan of the family names.
ForgedCheckpoint whole_llama() {
    ForgedCheckpoint forged = forged_llama(4);
    for (int layer = 0; layer < 4; ++layer) {
        forged.add(format("model.layers.{}.mlp.gate_proj.weight", layer), {12, 8});
        forged.add(format("model.layers.{}.mlp.down_proj.weight", layer), {8, 12});
    }
    forged.config.set("intermediate_size", 12);
    return forged;
}

TEST(Findings, AreNoneOfAWholeCheckpoint) {
    EXPECT_THAT(list_sentences(collect_findings(whole_llama())), IsEmpty());
}

TEST(Findings, NameCleanNames) {
    for (const char* name :
         {"_orig_mod.model.layers.0.x.weight",
          "module.model.layers.0.x.weight",
          "model.layers.0._checkpoint_wrapped_module.x.weight",
          "base_model.model.model.layers.0.x.base_layer.weight",
          "module._orig_mod._fsdp_wrapped_module.model.layers.0.x.weight",
          "pretrained_model.model.layers.0.x.weight",
          "_forward_module.model.layers.0.module.x._fsdp_wrapped_module.weight"}) {
        EXPECT_EQ(clean_name(name), "model.layers.0.x.weight") << name;
        EXPECT_EQ(canonical_name(name), "layers.0.x.weight") << name;
        EXPECT_EQ(find_layer(name), LayerIndex{0}) << name;
    }
    EXPECT_EQ(clean_name("model.language_model.language_model.norm.weight"),
              "model.language_model.norm.weight");
    // A leaf of that name is no wrapper.
    EXPECT_EQ(clean_name("model.layers.0.module"), "model.layers.0.module");
    EXPECT_EQ(clean_name("model.layers.0.mlp.weight"), "model.layers.0.mlp.weight");
}

TEST(Findings, CountAndGiveThreeExamples) {
    ForgedCheckpoint forged = whole_llama();
    for (testing::ForgedTensor& tensor : forged.tensors) {
        tensor.name = "module." + tensor.name;
    }
    const auto findings = collect_findings(forged);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings.front().code, "wrapped_names");
    EXPECT_EQ(findings.front().count, forged.tensors.size());
    EXPECT_EQ(findings.front().examples.size(), 3U);
    EXPECT_EQ(findings.front().severity, Severity::warning);
}

TEST(Findings, TellMissingEmptyAndMisshapenTensors) {
    ForgedCheckpoint forged = whole_llama();
    forged.remove("model.layers.1.mlp.down_proj.weight").remove("model.norm.weight");
    forged.at("model.layers.0.mlp.up_proj.weight").shape = {0};
    forged.at("model.layers.2.mlp.up_proj.weight").shape = {8, 12};
    forged.at("model.layers.3.mlp.down_proj.weight").shape = {8, 6};
    const auto findings = collect_findings(forged);
    std::vector<std::string> told;
    for (const Finding& finding : findings) {
        told.push_back(finding.code + ": " + finding.sentence);
    }
    EXPECT_THAT(told,
                ::testing::UnorderedElementsAre(
                    ::testing::AllOf(HasSubstr("empty_tensors"), HasSubstr("0.mlp.up_proj")),
                    ::testing::AllOf(HasSubstr("missing_tensors"),
                                     HasSubstr("1.mlp.down_proj"),
                                     HasSubstr("model.norm.weight")),
                    ::testing::AllOf(HasSubstr("wrong_shapes"),
                                     HasSubstr("2.mlp.up_proj"),
                                     HasSubstr("transpose"),
                                     HasSubstr("3.mlp.down_proj"))));
}

TEST(Findings, TellTensorsThatSistersHaveWhereThePlanIsNotWhole) {
    ForgedCheckpoint forged = whole_llama();
    // With an activation that does not run the plan lists softmax attention alone.
    forged.config.set("model_type", "gemma");
    forged.config.set("head_dim", 4);
    forged.config.set("hidden_act", "tanh");
    EXPECT_THAT(list_codes(forged), ElementsAre("family_from_memory"));
    forged.remove("model.layers.2.mlp.up_proj.weight").remove("model.norm.weight");
    const auto findings = collect_findings(forged);
    EXPECT_THAT(list_sentences(findings),
                ElementsAre(HasSubstr("from memory"),
                            HasSubstr("'model.layers.2.mlp.up_proj.weight'"),
                            HasSubstr("no final norm")));
}

TEST(Findings, TellScalesThatAreLostLeftOrOfAnotherShape) {
    ForgedCheckpoint forged = whole_llama();
    for (int layer = 0; layer < 4; ++layer) {
        const std::string name = format("model.layers.{}.mlp.up_proj.weight", layer);
        forged.at(name).dtype = DType::f8_e4m3;
        if (layer != 1) {
            forged.add(name + "_scale", {12, 1});
        }
    }
    EXPECT_THAT(list_codes(forged), ElementsAre("quantization_undeclared", "scale_missing"));
    forged.config.set("quantization_config", Json::Object{{"quant_method", "fp8"}});
    EXPECT_THAT(list_codes(forged), ElementsAre("scale_missing"));
    forged.add("model.layers.1.mlp.up_proj.weight_scale", {5, 1});
    EXPECT_THAT(list_codes(forged), ElementsAre("scale_shape"));
    forged.remove("model.layers.1.mlp.up_proj.weight_scale")
        .add("model.layers.1.mlp.up_proj.weight_scale_inv", {1});
    EXPECT_THAT(list_codes(forged), IsEmpty());
    forged.at("model.layers.1.mlp.up_proj.weight").dtype = DType::bf16;
    EXPECT_THAT(list_codes(forged), ElementsAre("scale_without_weight"));
}

TEST(Findings, TellAQuantisationThatTheWeightsDoNotHave) {
    for (const char* method : {"bitsandbytes", "gptq", "awq", "fp8", "compressed-tensors"}) {
        ForgedCheckpoint forged = whole_llama();
        forged.config.set("quantization_config", Json::Object{{"quant_method", method}});
        const auto findings = collect_findings(forged);
        ASSERT_EQ(findings.size(), 1U) << method;
        EXPECT_THAT(findings.front().sentence,
                    ::testing::AllOf(HasSubstr(format("quantization_config {}", method)),
                                     HasSubstr("BF16")));
    }
}

TEST(Findings, AreARefusalWhereStrictAsks) {
    std::vector<Finding> findings{{.code = "a", .severity = Severity::note, .sentence = "one"}};
    EXPECT_NO_THROW(refuse_warnings(findings));
    findings.push_back({.code = "b", .sentence = "two", .where = "post"});
    try {
        refuse_warnings(findings);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("post: two"));
    }
}

}  // namespace
}  // namespace anamnesis::checkpoint
