// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::forged_llama;
using testing::ForgedCheckpoint;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;

Model recognised(const ForgedCheckpoint& forged, const RecogniseOptions& options = {}) {
    const TemporaryFolder folder;
    forged.write(folder);
    return recognise(Checkpoint::open(folder.path()), options);
}

std::string describe_failure(const ForgedCheckpoint& forged, const RecogniseOptions& options = {}) {
    try {
        recognised(forged, options);
    } catch (const Error& error) {
        return std::string(to_string(error.kind())) + ": " + error.what();
    }
    return "no error";
}

fs::path golden(const char* name) {
    return fs::path(ANAMNESIS_TESTDATA) / "surgery" / name;
}

void copy_golden(const char* name, const TemporaryFolder& folder) {
    for (const auto& entry : fs::directory_iterator(golden(name) / "post")) {
        // Through bytes: the files of a checked-out tree may be read-only.
        folder.write(entry.path().filename(), io::read_text(entry.path()));
    }
}

ForgedCheckpoint without_config(ForgedCheckpoint forged) {
    forged.config = Json();
    return forged;
}

TEST(Recognise, ListsAllContradictionsAtOnce) {
    ForgedCheckpoint forged = forged_llama();
    forged.at("model.layers.0.self_attn.q_proj.weight").shape = {12, 8};
    forged.at("model.layers.1.self_attn.k_proj.weight").shape = {4, 6};
    forged.add("model.layers.1.self_attn.v_proj.bias", {4});
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("mismatch"),
                      HasSubstr("'llama', 3 contradictions"),
                      HasSubstr("'model.layers.0.self_attn.q_proj.weight' has shape [12, 8], "
                                "expected [8, 8]"),
                      HasSubstr("'model.layers.1.self_attn.k_proj.weight' has shape [4, 6], "
                                "expected [4, 8]"),
                      HasSubstr("'model.layers.1.self_attn.v_proj.bias' is there")));
}

TEST(Recognise, MissesTensorsOfADeclaredSoftmaxLayer) {
    ForgedCheckpoint forged = forged_llama(3);
    forged.remove("model.layers.1.self_attn.k_proj.weight");
    for (const char* part : {"q", "k", "v"}) {
        forged.remove(format("model.layers.2.self_attn.{}_proj.weight", part));
    }
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("mismatch"),
                      HasSubstr("tensor 'model.layers.1.self_attn.k_proj.weight' is missing"),
                      HasSubstr("layer 2 is softmax attention, but none of its 3 tensors")));
    const Model model = recognised(forged, {.missing = Missing::warn});
    EXPECT_THAT(
        list_sentences(model.findings),
        ElementsAre(AllOf(HasSubstr("layers.1.self_attn.k_proj.weight"), HasSubstr("layer 2"))));
    EXPECT_EQ(model.attention.size(), 5U);
}

TEST(Recognise, TellsSoftmaxFromLinearLayersByTheirOwnTensors) {
    const TemporaryFolder folder;
    copy_golden("hypenet", folder);
    Json config = Checkpoint::open(folder.path()).config();
    Json swapped = Json::array();
    for (const char* word : {"attn", "lightning-attn", "lightning-attn", "attn"}) {
        swapped.push_back(word);
    }
    config.set("mixer_types", swapped);
    folder.write("config.json", config.dump());
    try {
        recognise(Checkpoint::open(folder.path()));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("layers.0.self_attn.z_proj.weight"));
        EXPECT_THAT(error.message(), HasSubstr("layers.1.self_attn.o_gate.weight"));
        EXPECT_THAT(error.message(), HasSubstr("layers.0.self_attn.k_proj.weight' has shape"));
    }
}

TEST(Recognise, RefusesASoftmaxTensorInALayerDeclaredLinear) {
    const TemporaryFolder folder;
    copy_golden("qwen3_next", folder);
    Json config = Checkpoint::open(folder.path()).config();
    config.set("layer_types", Json());
    config.set("full_attention_interval", 5);
    folder.write("config.json", config.dump());
    try {
        recognise(Checkpoint::open(folder.path()));
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("layer 3 is declared linear"));
    }
}

TEST(Recognise, WarnsOfAnOddHead) {
    ForgedCheckpoint forged = forged_llama();
    forged.add("lm_head.weight", {16, 8});
    EXPECT_THAT(list_sentences(recognised(forged).findings),
                ElementsAre(HasSubstr("'lm_head.weight'")));
    forged.remove("lm_head.weight");
    EXPECT_THAT(list_sentences(recognised(forged).findings), IsEmpty());
    forged.config.set("tie_word_embeddings", false);
    EXPECT_THAT(list_sentences(recognised(forged).findings), ElementsAre(HasSubstr("not tied")));
    forged.config.set("tie_word_embeddings", Json());
    const Model model = recognised(forged);
    EXPECT_THAT(list_sentences(model.findings), IsEmpty());
    EXPECT_TRUE(model.is_head_tied);
}

TEST(Recognise, WarnsOfSizesThatDoNotAgree) {
    ForgedCheckpoint forged = forged_llama();
    forged.config.set("vocab_size", 99);
    forged.at("model.embed_tokens.weight").shape = {16, 9};
    EXPECT_THAT(list_sentences(recognised(forged).findings),
                ElementsAre(HasSubstr("vocab_size 99"), HasSubstr("hidden_size 8")));
}

TEST(Recognise, WarnsOfLayersAndDraftHeadsThatAreNotThere) {
    ForgedCheckpoint forged = forged_llama(2);
    forged.config.set("num_hidden_layers", 3);
    forged.config.set("num_nextn_predict_layers", 1);
    EXPECT_THAT(list_sentences(recognised(forged, {.missing = Missing::warn}).findings),
                ElementsAre(HasSubstr("layer 2 is softmax attention"),
                            HasSubstr("declares a draft head"),
                            HasSubstr("without any tensor in the checkpoint: 2")));
    forged.config.set("num_nextn_predict_layers", 0);
    forged.config.set("num_hidden_layers", 1);
    EXPECT_THAT(list_sentences(recognised(forged).findings),
                ElementsAre(HasSubstr("layers 1 come after")));
}

TEST(Recognise, TakesALayerAfterTheLastForADraftHeadWhereOneIsDeclared) {
    ForgedCheckpoint forged = forged_llama(3);
    forged.config.set("num_hidden_layers", 2);
    forged.config.set("num_nextn_predict_layers", 1);
    const Model model = recognised(forged);
    const AttentionTensor* tensor = model.find_attention("model.layers.2.self_attn.q_proj.weight");
    ASSERT_NE(tensor, nullptr);
    EXPECT_TRUE(tensor->is_draft_head);
    EXPECT_FALSE(tensor->layer);
    EXPECT_THAT(list_sentences(model.findings), IsEmpty());
}

TEST(Recognise, SaysWhenRowsAreFromMemory) {
    ForgedCheckpoint forged = forged_llama();
    forged.config.set("model_type", "gemma");
    forged.config.set("head_dim", 4);
    forged.config.set("hidden_act", "tanh");  // which does not run
    const Model model = recognised(forged);
    EXPECT_EQ(model.evidence, "from memory, confirmed by the shapes");
    EXPECT_THAT(list_sentences(model.findings), ElementsAre(HasSubstr("from memory")));
}

TEST(Recognise, NamesAnUnknownFamilyAndTheWayOut) {
    ForgedCheckpoint forged = forged_llama();
    forged.config.set("model_type", "llamma");
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("unsupported"),
                      HasSubstr("'llamma'"),
                      HasSubstr("'llama'"),
                      HasSubstr("--routing FILE"),
                      HasSubstr("docs/routing-file.md")));
    EXPECT_EQ(recognised(forged, {.family = "llama"}).family, "llama");
    EXPECT_THAT(describe_failure(forged, {.family = "nobody"}), HasSubstr("'nobody'"));
}

TEST(Recognise, RefusesHeadsThatCannotDivide) {
    ForgedCheckpoint forged = forged_llama();
    forged.config.set("num_key_value_heads", 3);
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("malformed"), HasSubstr("2 query heads, 3 key-value heads")));
    forged.config.set("num_key_value_heads", 0);
    EXPECT_THAT(describe_failure(forged), HasSubstr("malformed"));
    forged.config.set("num_key_value_heads", "many");
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("malformed"), HasSubstr("'num_key_value_heads'")));
}

TEST(Recognise, RefusesPackedWeightsByName) {
    ForgedCheckpoint gptq = forged_llama();
    gptq.remove("model.layers.0.self_attn.q_proj.weight");
    gptq.add("model.layers.0.self_attn.q_proj.qweight", {1, 8}, DType::i32);
    gptq.config.set("quantization_config", Json::parse(R"({"quant_method": "gptq"})"));
    EXPECT_THAT(describe_failure(gptq),
                AllOf(HasSubstr("unsupported"),
                      HasSubstr("q_proj.qweight"),
                      HasSubstr("GPTQ"),
                      HasSubstr("'gptq'")));
    ForgedCheckpoint bits = forged_llama();
    bits.at("model.layers.0.self_attn.q_proj.weight").dtype = DType::u8;
    EXPECT_THAT(describe_failure(bits), AllOf(HasSubstr("unsupported"), HasSubstr("U8")));
    bits.add("model.layers.0.self_attn.q_proj.weight.absmax", {4}, DType::f32);
    EXPECT_THAT(describe_failure(bits), AllOf(HasSubstr("unsupported"), HasSubstr("bitsandbytes")));
}

TEST(Recognise, TellsFamilyAndHeadsFromNamesWithoutAConfig) {
    for (const auto& [name, family] : {std::pair{"qwen3_next", "qwen3_next"},
                                       std::pair{"qwen3_5_text", "qwen3_5"},
                                       std::pair{"qwen3", "qwen3"},
                                       std::pair{"hypenet", "hypenet"}}) {
        const TemporaryFolder folder;
        const fs::path source = golden(name) / "post";
        for (const auto& entry : fs::directory_iterator(source)) {
            if (entry.path().filename() != "config.json") {
                fs::copy(entry.path(), folder.path());
            }
        }
        const Model told = recognise(Checkpoint::open(folder.path()));
        const Model stated = recognise(Checkpoint::open(source));
        EXPECT_EQ(told.family, family);
        EXPECT_EQ(told.heads, stated.heads) << name;
        ASSERT_EQ(told.attention.size(), stated.attention.size()) << name;
        for (std::size_t i = 0; i < told.attention.size(); ++i) {
            EXPECT_EQ(told.attention[i].name, stated.attention[i].name);
            EXPECT_EQ(told.attention[i].blocks.size(), stated.attention[i].blocks.size());
        }
        EXPECT_THAT(list_sentences(told.findings),
                    ::testing::Contains(HasSubstr("there is no config.json")));
    }
}

TEST(Recognise, LeavesHeadsOpenWhereNothingTellsThem) {
    const Model model = recognised(without_config(forged_llama()));
    EXPECT_EQ(model.family, "llama");
    EXPECT_FALSE(model.heads);
    ASSERT_EQ(model.attention.size(), 6U);
    EXPECT_FALSE(model.attention.front().blocks.front().head);
    EXPECT_EQ(model.hidden_size, 8U);
}

TEST(Recognise, AsksForAConfigWhereNamesDoNotTell) {
    ForgedCheckpoint forged = without_config(forged_llama());
    forged.add("model.layers.0.self_attn.q_proj.bias", {8});
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("unsupported"), HasSubstr("--config"), HasSubstr("--family")));
    EXPECT_THAT(describe_failure(forged, {.family = "kimi_linear"}),
                AllOf(HasSubstr("unsupported"), HasSubstr("'kimi_linear'"), HasSubstr("--config")));
}

TEST(Recognise, RefusesTwoTensorsOfOneCanonicalName) {
    ForgedCheckpoint forged = forged_llama();
    forged.add("student_model.model.layers.0.self_attn.q_proj.weight", {8, 8});
    EXPECT_THAT(describe_failure(forged),
                AllOf(HasSubstr("mismatch"), HasSubstr("is a duplicate of")));
}

TEST(Rotary, IsFoundWhereEnginesReadItDifferently) {
    const auto count = [](double share) {
        ForgedCheckpoint forged = forged_llama();
        forged.config.set("partial_rotary_factor", share);
        return std::ranges::count(recognised(forged).findings, "partial_rotary", &Finding::code);
    };
    EXPECT_EQ(count(0.5), 1);
    EXPECT_EQ(count(1.0), 0);
}

TEST(Rotary, ReadsBothSpellingsOfTransformersAlike) {
    ForgedCheckpoint older = forged_llama();
    older.config.set("rope_theta", 5e5);
    older.config.set("rope_scaling", Json::parse(R"({"type": "yarn", "factor": 4.0})"));
    ForgedCheckpoint newer = forged_llama();
    newer.config.set("rope_theta", Json());
    newer.config.set(
        "rope_parameters",
        Json::parse(R"({"rope_type": "yarn", "rope_theta": 500000.0, "factor": 4.0})"));
    const Model left = recognised(older);
    const Model right = recognised(newer);
    EXPECT_EQ(left.position.rope_theta, 5e5);
    EXPECT_EQ(right.position.rope_theta, 5e5);
    EXPECT_EQ(left.position.rope_scaling, right.position.rope_scaling);
    EXPECT_FALSE(left.position.rope_scaling.is_null());
    EXPECT_EQ(left.rotary, right.rotary);
    EXPECT_EQ(left.rotary.dimensions, 4U);
    newer.config.set("rope_parameters", Json::object());
    newer.config.set("rope_theta", "1e4");
    EXPECT_EQ(recognised(newer).position.rope_theta, 1e4);
}

TEST(Rotary, KnowsWhichRowsOfAHeadTurn) {
    using Pairs = RotaryLayout::Pairs;
    struct Case {
        const char* family;
        RotaryLayout rotary;
        QkNorm norm;
    };
    for (const Case& expected :
         {Case{"hypenet", {}, QkNorm::per_head},
          Case{"jamba", {}, QkNorm::none},
          Case{"nemotron_h", {}, QkNorm::none},
          Case{"kimi_linear", {}, QkNorm::none},
          Case{"granitemoehybrid", {}, QkNorm::none},
          Case{"qwen3_next", {Pairs::half_split, 4, 0}, QkNorm::per_head_plus1},
          Case{"gemma3_text", {Pairs::half_split, 16, 0}, QkNorm::per_head_plus1},
          Case{"bamba", {Pairs::half_split, 4, 0}, QkNorm::none},
          Case{"gpt_neox", {Pairs::half_split, 2, 0}, QkNorm::none},
          Case{"zamba2", {Pairs::half_split, 12, 0}, QkNorm::none},
          Case{"olmo_hybrid", {Pairs::half_split, 8, 0}, QkNorm::full_width},
          Case{"deepseek_v3", {Pairs::interleaved, 4, 8}, QkNorm::none},
          Case{"bailing_hybrid", {Pairs::interleaved, 4, 8}, QkNorm::none}}) {
        const Model model = recognise(Checkpoint::open(golden(expected.family) / "post"));
        EXPECT_EQ(model.rotary, expected.rotary) << expected.family;
        EXPECT_EQ(model.qk_norm, expected.norm) << expected.family;
        EXPECT_EQ(model.position.uses_rope, expected.rotary.pairs != Pairs::none);
    }
}

TEST(CanonicalName, PairsEveryWrapper) {
    for (const char* name : {"model.layers.3.x",
                             "model.language_model.layers.3.x",
                             "language_model.model.layers.3.x",
                             "backbone.layers.3.x",
                             "gpt_neox.layers.3.x",
                             "student_model.model.layers.3.x",
                             "layers.3.x"}) {
        EXPECT_EQ(canonical_name(name), "layers.3.x");
        EXPECT_EQ(find_layer(name), LayerIndex(3));
    }
    for (const char* name : {"mtp.layers.0.x",
                             "model.visual.blocks.0.x",
                             "vision_tower.encoder.layers.0.x",
                             "teacher_model.model.layers.0.x",
                             "lm_head.weight",
                             "model.layers.x"}) {
        EXPECT_FALSE(find_layer(name)) << name;
    }
    EXPECT_EQ(canonical_name("mtp.layers.0.x"), "mtp.layers.0.x");
}

TEST(FindScale, KnowsBlocksRowsAndWholeTensors) {
    ForgedCheckpoint forged;
    forged.add("a.weight", {300, 4}, DType::f8_e4m3).add("a.weight_scale_inv", {3, 1}, DType::f32);
    forged.add("b.weight", {300, 4}, DType::f8_e4m3).add("b.weight_scale", {300, 1}, DType::f32);
    forged.add("c.weight", {300, 4}, DType::f8_e4m3).add("c.weight_scale", {}, DType::f32);
    forged.add("d.weight", {300, 4});
    forged.add("e.weight", {300, 4}, DType::f8_e4m3).add("e.weight_scale_inv", {7, 1}, DType::f32);
    const TemporaryFolder folder;
    forged.write(folder);
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    EXPECT_EQ(find_scale(checkpoint, "a.weight")->rows_per_block, 128U);
    EXPECT_EQ(find_scale(checkpoint, "b.weight")->rows_per_block, 1U);
    EXPECT_EQ(find_scale(checkpoint, "c.weight")->rows_per_block, 300U);
    EXPECT_FALSE(find_scale(checkpoint, "d.weight"));
    EXPECT_THROW(find_scale(checkpoint, "e.weight"), Error);
    forged.config = Json::parse(R"({"quantization_config": {"weight_block_size": [50, 50]}})");
    forged.write(folder);
    EXPECT_THROW(find_scale(Checkpoint::open(folder.path()), "e.weight"), Error);
    forged.at("e.weight_scale_inv").shape = {6, 1};
    forged.write(folder);
    EXPECT_EQ(find_scale(Checkpoint::open(folder.path()), "e.weight")->rows_per_block, 50U);
}

}  // namespace
}  // namespace anamnesis::checkpoint
