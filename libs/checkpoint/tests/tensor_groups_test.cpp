// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;

std::string group_text(const Model& model, std::string_view tensor) {
    const auto group = classify_tensor(model, tensor);
    return group ? std::string(to_string(*group)) : "blocks";
}

/// What no group but `other` fits.
bool belongs_to_none(std::string_view canonical) {
    constexpr std::array<std::string_view, 5> parts{
        "visual.", "sinks", "_decay", "slope_rate", "mtp.fc"};
    return std::ranges::any_of(parts,
                               [&](std::string_view part) {
                                   return canonical.find(part) != std::string_view::npos;
                               }) ||
           // Zamba2's way from the shared block into the state space.
           canonical.ends_with(".linear.weight");
}

TEST(TensorGroups, PlaceEveryTensorOfEveryGoldenCheckpoint) {
    for (const auto& folder : fs::directory_iterator(fs::path(ANAMNESIS_TESTDATA) / "surgery")) {
        if (!fs::exists(folder.path() / "plan.json")) {
            continue;
        }
        const Checkpoint checkpoint = Checkpoint::open(folder.path() / "post");
        const Model model = recognise(checkpoint);
        for (const TensorEntry& tensor : checkpoint.tensors()) {
            const std::string canonical = canonical_name(tensor.name);
            const std::string group = group_text(model, tensor.name);
            EXPECT_EQ(group == "other", belongs_to_none(canonical))
                << folder.path().filename() << " " << tensor.name << " is " << group;
            const bool is_expert = canonical.find("mlp.") != std::string::npos ||
                                   canonical.find("feed_forward.") != std::string::npos ||
                                   canonical.find("moe.") != std::string::npos ||
                                   canonical.find("experts") != std::string::npos;
            EXPECT_EQ(group == "mlp",
                      (is_expert && group != "other") ||
                          canonical.ends_with("mixer.up_proj.weight") ||
                          canonical.ends_with("mixer.down_proj.weight") ||
                          canonical.find("mixer.gate.") != std::string::npos)
                << folder.path().filename() << " " << tensor.name << " is " << group;
            EXPECT_EQ(group == "embedding",
                      canonical.starts_with("embed_tokens") || canonical.starts_with("embed_in") ||
                          canonical.starts_with("embeddings") ||
                          canonical.starts_with("word_embeddings"));
        }
    }
}

TEST(TensorGroups, TellTheSameNameApartByItsLayer) {
    struct Case {
        const char* family;
        const char* tensor;
        const char* group;
    };
    std::map<std::string, Model> models;
    for (const Case& expected :
         {Case{"hypenet", "model.layers.0.self_attn.q_proj.weight", "mixer"},
          Case{"hypenet", "model.layers.1.self_attn.q_proj.weight", "q"},
          Case{"hypenet", "model.layers.0.self_attn.q_norm.weight", "mixer"},
          Case{"hypenet", "model.layers.1.self_attn.q_norm.weight", "norms"},
          Case{"hypenet", "model.layers.1.self_attn.o_gate.weight", "gate"},
          Case{"hypenet", "model.layers.0.self_attn.o_proj.weight", "mixer"},
          Case{"hypenet", "model.layers.1.self_attn.o_proj.weight", "o"},
          Case{"jet_nemotron", "model.layers.1.self_attn.k_proj.bias", "k"},
          Case{"jet_nemotron", "model.layers.0.self_attn.A_log", "mixer"},
          Case{"bailing_hybrid", "model.layers.1.attention.g_proj.weight", "gate"},
          Case{"bailing_hybrid", "model.layers.0.attention.g_proj.weight", "mixer"},
          Case{"bailing_hybrid", "model.layers.1.attention.kv_a_proj_with_mqa.weight", "blocks"},
          Case{"deepseek_v3", "model.layers.0.self_attn.q_a_proj.weight", "q"},
          Case{"deepseek_v3", "model.layers.0.self_attn.kv_a_layernorm.weight", "norms"},
          Case{"nemotron_h", "backbone.layers.0.mixer.norm.weight", "mixer"},
          Case{"nemotron_h", "backbone.layers.0.norm.weight", "norms"},
          Case{"nemotron_h", "backbone.layers.1.mixer.up_proj.weight", "mlp"},
          Case{"nemotron_h", "backbone.layers.3.mixer.o_proj.weight", "o"},
          Case{"falcon_h1", "model.layers.0.mamba.A_log", "mixer"},
          Case{"falcon_h1", "model.layers.0.self_attn.q_proj.weight", "q"},
          Case{"lfm2", "model.layers.0.conv.out_proj.weight", "mixer"},
          Case{"lfm2", "model.layers.1.self_attn.out_proj.weight", "o"},
          Case{"minimax", "model.layers.0.self_attn.norm.weight", "mixer"},
          Case{"gpt_neox", "gpt_neox.layers.0.attention.dense.bias", "o"},
          Case{"gpt_neox", "gpt_neox.layers.0.attention.query_key_value.bias", "blocks"},
          Case{"gpt_neox", "embed_out.weight", "head"},
          Case{"qwen3_next", "model.layers.3.self_attn.q_proj.weight", "blocks"},
          Case{"qwen3_next", "model.layers.0.linear_attn.norm.weight", "mixer"},
          Case{"fp8_block16", "model.layers.1.self_attn.v_proj.weight_scale_inv", "v"},
          Case{"fp8_block16", "model.layers.1.self_attn.q_proj.weight_scale_inv", "blocks"},
          Case{"fp8_block16", "model.layers.0.mlp.up_proj.weight_scale_inv", "mlp"},
          Case{"qwen3_5", "mtp.layers.0.self_attn.o_proj.weight", "o"},
          Case{"qwen3_5", "mtp.norm.weight", "norms"},
          Case{"qwen3_5", "model.visual.blocks.0.norm1.weight", "other"},
          Case{"zamba2", "model.layers.0.mamba_decoder.input_layernorm.weight", "norms"},
          Case{"zamba2", "model.layers.0.mamba_decoder.mamba.norm.weight", "mixer"}}) {
        const auto [place, is_new] = models.try_emplace(expected.family);
        if (is_new) {
            place->second = recognise(Checkpoint::open(fs::path(ANAMNESIS_TESTDATA) / "surgery" /
                                                       expected.family / "post"));
        }
        EXPECT_EQ(group_text(place->second, expected.tensor), expected.group)
            << expected.family << " " << expected.tensor;
    }
}

TEST(TensorGroups, HaveNamesThatReadBack) {
    for (const char* name : {"q",
                             "k",
                             "v",
                             "o",
                             "gate",
                             "latent",
                             "mlp",
                             "mixer",
                             "norms",
                             "embedding",
                             "head",
                             "other"}) {
        const auto group = find_tensor_group(name);
        ASSERT_TRUE(group) << name;
        EXPECT_EQ(to_string(*group), name);
    }
    EXPECT_FALSE(find_tensor_group("queries"));
}

}  // namespace
}  // namespace anamnesis::checkpoint
