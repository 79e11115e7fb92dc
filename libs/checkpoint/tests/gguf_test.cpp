// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/gguf.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "gguf_bytes.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;

/// A GGUF file of one architecture, all tensors F32 and zero.
class ModelBytes {
public:
    explicit ModelBytes(std::string architecture, std::uint32_t blocks)
        : architecture_(std::move(architecture)) {
        file_.key("general.architecture", architecture_);
        set("block_count", blocks);
        set("embedding_length", 8);
        set("attention.head_count", 2);
        set("attention.key_length", 4);
        set("attention.value_length", 4);
    }
    ModelBytes& set(const std::string& key, std::uint32_t value) {
        file_.key(architecture_ + "." + key, value);
        return *this;
    }
    ModelBytes& set(const std::string& key, const std::vector<std::uint32_t>& values) {
        std::vector<std::string> elements;
        for (const std::uint32_t value : values) {
            elements.push_back(GgufBytes::number(value));
        }
        file_.array(architecture_ + "." + key, 4, elements);
        return *this;
    }
    ModelBytes& flags(const std::string& key, const std::vector<bool>& values) {
        std::vector<std::string> elements;
        for (const bool value : values) {
            elements.emplace_back(1, value ? '\1' : '\0');
        }
        file_.array(architecture_ + "." + key, 7, elements);
        return *this;
    }
    /// `rows` and the row length, or a stack.
    ModelBytes& add(const std::string& name, std::vector<std::uint64_t> shape) {
        std::uint64_t elements = 1;
        for (const std::uint64_t size : shape) {
            elements *= size;
        }
        const std::vector<std::uint64_t> dimensions(shape.rbegin(), shape.rend());
        file_.tensor(name, dimensions, 0, std::string(elements * 4, '\0'));
        return *this;
    }
    ModelBytes& add_attention(std::uint32_t block, std::uint64_t query_rows = 8) {
        const std::string prefix = format("blk.{}.", block);
        add(prefix + "attn_q.weight", {query_rows, 8});
        add(prefix + "attn_k.weight", {8, 8});
        return add(prefix + "attn_v.weight", {8, 8});
    }
    std::string bytes() const { return file_.bytes(); }

private:
    std::string architecture_;
    GgufBytes file_;
};

class GgufModels : public ::testing::Test {
protected:
    Model open(const ModelBytes& bytes, Missing missing = Missing::refuse) {
        return recognise(Checkpoint::open(folder_.write("m.gguf", bytes.bytes())),
                         {.missing = missing});
    }

    static std::vector<std::string> kinds(const Model& model) {
        std::vector<std::string> words;
        for (const Layer& layer : model.layers) {
            words.emplace_back(to_string(layer.kinds.front()));
        }
        return words;
    }

    /// "query 0-4, gate 4-8"
    static std::string rows(const Model& model, const std::string& name) {
        const AttentionTensor* tensor = model.find_attention(name);
        std::vector<std::string> parts;
        if (tensor != nullptr) {
            for (const RowBlock& block : tensor->blocks) {
                parts.push_back(
                    format("{} {}-{}", to_string(block.role), block.rows.begin, block.rows.end));
            }
        }
        return join(parts, ", ");
    }

    testing::TemporaryFolder folder_;
};

TEST_F(GgufModels, RecurrentLayersAreListedOrEveryFourthIsSoftmax) {
    ModelBytes listed("qwen35", 3);
    listed.set("attention.head_count_kv", 2)
        .flags("attention.recurrent_layers", {true, false, true})
        .set("full_attention_interval", 4)
        .add("blk.0.attn_qkv.weight", {24, 8})
        .add_attention(1, 16)
        .add("blk.2.attn_qkv.weight", {24, 8});
    const Model model = open(listed);
    EXPECT_THAT(kinds(model), ElementsAre("linear", "full", "linear"));
    EXPECT_EQ(rows(model, "blk.1.attn_q.weight"), "query 0-4, gate 4-8, query 8-12, gate 12-16");
    EXPECT_EQ(model.find_attention("blk.0.attn_qkv.weight"), nullptr);

    ModelBytes interval("minimax-01", 4);
    interval.set("attention.head_count_kv", 2).add_attention(3);
    for (const int block : {0, 1, 2}) {
        interval.add(format("blk.{}.attn_qkv.weight", block), {24, 8});
    }
    EXPECT_THAT(kinds(open(interval)), ElementsAre("linear", "linear", "linear", "full"));
}

TEST_F(GgufModels, AFusedSoftmaxLayerOfQwenHasQueriesWithGatesFirst) {
    ModelBytes bytes("qwen35", 1);
    bytes.set("attention.head_count_kv", 1)
        .flags("attention.recurrent_layers", {false})
        .add("blk.0.attn_qkv.weight", {24, 8});
    EXPECT_EQ(rows(open(bytes), "blk.0.attn_qkv.weight"),
              "query 0-4, gate 4-8, query 8-12, gate 12-16, key 16-20, value 20-24");
}

TEST_F(GgufModels, FusedProjectionsAreReadLayerByLayer) {
    ModelBytes bytes("llama", 2);
    bytes.set("attention.head_count_kv", 2)
        .add_attention(0)
        .add("blk.1.attn_qkv.weight", {24, 8})
        .add("blk.1.attn_qkv.bias", {24});
    const Model model = open(bytes);
    EXPECT_EQ(rows(model, "blk.0.attn_q.weight"), "query 0-4, query 4-8");
    EXPECT_EQ(rows(model, "blk.1.attn_qkv.weight"),
              "query 0-4, query 4-8, key 8-12, key 12-16, value 16-20, value 20-24");
    EXPECT_EQ(rows(model, "blk.1.attn_qkv.bias"), rows(model, "blk.1.attn_qkv.weight"));
}

TEST_F(GgufModels, LayersWithoutKeyHeadsAreNotAttention) {
    ModelBytes bytes("nemotron_h", 3);
    bytes.set("attention.head_count_kv", {0, 2, 0})
        .set("feed_forward_length", {0, 0, 16})
        .add("blk.0.ssm_in.weight", {8, 8})
        .add_attention(1)
        .add("blk.2.ffn_up.weight", {16, 8});
    EXPECT_THAT(kinds(open(bytes)), ElementsAre("linear", "full", "mlp"));
}

TEST_F(GgufModels, ASoftmaxTensorInALayerWithoutKeyHeadsIsAContradiction) {
    ModelBytes bytes("jamba", 2);
    bytes.set("attention.head_count_kv", {0, 2}).add_attention(0).add_attention(1);
    try {
        open(bytes);
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.what(), HasSubstr("blk.0.attn_q.weight"));
    }
}

TEST_F(GgufModels, WindowsFollowThePatternOfTheFileOrOfTheArchitecture) {
    const auto make = [](const std::string& architecture) {
        ModelBytes bytes(architecture, 4);
        bytes.set("attention.head_count_kv", 2).set("attention.sliding_window", 8);
        for (std::uint32_t block = 0; block < 4; ++block) {
            bytes.add_attention(block);
        }
        return bytes;
    };
    EXPECT_THAT(kinds(open(make("gpt-oss"))), ElementsAre("sliding", "full", "sliding", "full"));
    EXPECT_THAT(kinds(open(make("olmo2"))), ElementsAre("sliding", "sliding", "sliding", "full"));
    ModelBytes listed = make("gpt-oss");
    listed.flags("attention.sliding_window_pattern", {false, true, true, false});
    EXPECT_THAT(kinds(open(listed)), ElementsAre("full", "sliding", "sliding", "full"));
}

TEST_F(GgufModels, LatentKeysAreReadSplitAndJoined) {
    const auto make = [] {
        ModelBytes bytes("deepseek2", 1);
        bytes.set("attention.kv_lora_rank", 6)
            .set("attention.key_length_mla", 6)
            .set("attention.value_length_mla", 4)
            .set("rope.dimension_count", 2)
            .add("blk.0.attn_q_a.weight", {5, 8})
            .add("blk.0.attn_q_b.weight", {12, 5})
            .add("blk.0.attn_kv_a_mqa.weight", {8, 8});
        return bytes;
    };
    ModelBytes split = make();
    split.add("blk.0.attn_k_b.weight", {2, 6, 4}).add("blk.0.attn_v_b.weight", {2, 4, 6});
    const Model model = open(split);
    EXPECT_THAT(kinds(model), ElementsAre("mla"));
    EXPECT_EQ(rows(model, "blk.0.attn_q_a.weight"), "query 0-5");
    EXPECT_EQ(rows(model, "blk.0.attn_q_b.weight"), "query 0-6, query 6-12");
    EXPECT_EQ(rows(model, "blk.0.attn_kv_a_mqa.weight"), "latent 0-6, key 6-8");
    EXPECT_EQ(rows(model, "blk.0.attn_k_b.weight"), "key 0-1, key 1-2");
    EXPECT_EQ(rows(model, "blk.0.attn_v_b.weight"), "value 0-1, value 1-2");
    ModelBytes joined = make();
    joined.add("blk.0.attn_kv_b.weight", {16, 6});
    EXPECT_EQ(rows(open(joined), "blk.0.attn_kv_b.weight"),
              "key 0-4, value 4-8, key 8-12, value 12-16");
}

TEST_F(GgufModels, BlocksAfterTheLayersAreADraftHead) {
    ModelBytes bytes("qwen35", 2);
    bytes.set("attention.head_count_kv", 2)
        .set("nextn_predict_layers", 1)
        .flags("attention.recurrent_layers", {false, false})
        .add_attention(0, 16)
        .add_attention(1, 16);
    const Model model = open(bytes);
    EXPECT_EQ(model.layers.size(), 1U);
    const AttentionTensor* draft = model.find_attention("blk.1.attn_q.weight");
    ASSERT_NE(draft, nullptr);
    EXPECT_TRUE(draft->is_draft_head);
    EXPECT_FALSE(model.find_attention("blk.0.attn_q.weight")->is_draft_head);
}

TEST_F(GgufModels, AnUnknownArchitectureIsRefusedAndCanBeLookedAt) {
    const ModelBytes bytes("unheard-of", 1);
    EXPECT_THROW(open(bytes), Error);
    const Model model = open(bytes, Missing::warn);
    ASSERT_EQ(model.findings.size(), 1U);
    EXPECT_EQ(model.findings.front().code, "not_recognised");
    EXPECT_THAT(model.findings.front().sentence, HasSubstr("unheard-of"));
}

TEST_F(GgufModels, ImpossibleMetadataIsNamed) {
    const auto refuses = [&](const ModelBytes& bytes, const std::string& fact) {
        try {
            open(bytes);
            ADD_FAILURE() << "accepted, though " << fact;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed) << error.what();
            EXPECT_THAT(error.what(), HasSubstr(fact));
        }
    };
    refuses(ModelBytes("llama", 1).set("attention.head_count_kv", 3), "impossible heads");
    refuses(ModelBytes("jamba", 3).set("attention.head_count_kv", {0, 2}), "has 2 entries");
    refuses(ModelBytes("llama", 0), "blocks");
    refuses(ModelBytes("qwen35", 1).set("nextn_predict_layers", 1), "draft head");
    refuses(
        ModelBytes("deepseek2", 1).set("attention.kv_lora_rank", 0).set("rope.dimension_count", 2),
        "latent attention");
}

TEST_F(GgufModels, TheConfigIsInTheFamilysSpelling) {
    ModelBytes bytes("qwen3", 1);
    bytes.set("attention.head_count_kv", 1).set("vocab_size", 11).add_attention(0);
    const Checkpoint checkpoint = Checkpoint::open(folder_.write("m.gguf", bytes.bytes()));
    const Json& config = checkpoint.config();
    EXPECT_EQ(config.at("model_type").as_string("model_type"), "qwen3");
    EXPECT_EQ(config.at("hidden_size").as_unsigned("hidden_size"), 8U);
    EXPECT_EQ(config.at("num_key_value_heads").as_unsigned("heads"), 1U);
    EXPECT_EQ(config.at("head_dim").as_unsigned("head_dim"), 4U);
    EXPECT_EQ(find_gguf_name("layers.3.self_attn.o_proj.weight"), "blk.3.attn_output.weight");
    EXPECT_EQ(find_gguf_name("layers.3.linear_attn.in_proj_qkv.weight"), std::nullopt);
}

class GgufShards : public ::testing::Test {
protected:
    std::filesystem::path write(unsigned number, unsigned count, unsigned says, int tensors = 2) {
        GgufBytes bytes;
        // A shard that calls itself the first has the keys of one.
        if (number == 1 || says == 0) {
            bytes.key("general.architecture", "llama");
        }
        bytes.key("split.no", 2, GgufBytes::number(static_cast<std::uint16_t>(says)))
            .key("split.count", 2, GgufBytes::number(static_cast<std::uint16_t>(count)))
            .key("split.tensors.count", 5, GgufBytes::number(tensors))
            .tensor(format("t{}", number), {4}, 0, std::string(16, 'x'));
        return folder_.write(format("m-{:05}-of-{:05}.gguf", number, count), bytes.bytes());
    }

    void refuses(const std::filesystem::path& path, ErrorKind kind, const std::string& fact) {
        try {
            Checkpoint::open(path);
            ADD_FAILURE() << "accepted, though " << fact;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), kind) << error.what();
            EXPECT_THAT(error.what(), HasSubstr(fact));
        }
    }

    testing::TemporaryFolder folder_;
};

TEST_F(GgufShards, AnyShardAndTheFolderNameTheSet) {
    const auto first = write(1, 2, 0);
    const auto second = write(2, 2, 1);
    for (const auto& path : {first, second, folder_.path()}) {
        const Checkpoint checkpoint = Checkpoint::open(path);
        EXPECT_EQ(checkpoint.files().size(), 2U);
        EXPECT_FALSE(checkpoint.is_single_file());
        EXPECT_NE(checkpoint.find("t2"), nullptr);
        EXPECT_EQ(checkpoint.gguf()->architecture(), "llama");
    }
}

TEST_F(GgufShards, AMissingShardIsNamed) {
    refuses(write(1, 2, 0), ErrorKind::not_found, "m-00002-of-00002.gguf");
}

TEST_F(GgufShards, ShardsThatDoNotAgreeAreRefused) {
    write(1, 2, 0);
    refuses(write(2, 2, 0), ErrorKind::malformed, "split.no 0, expected 1");
    write(2, 2, 1, 3);
    refuses(folder_.path(), ErrorKind::malformed, "split.tensors.count 3");
}

TEST_F(GgufShards, AFolderOfSeveralModelsNeedsAName) {
    folder_.write("a.gguf", ModelBytes("llama", 1).bytes());
    folder_.write("b.gguf", ModelBytes("llama", 1).bytes());
    refuses(folder_.path(), ErrorKind::usage, "a.gguf, b.gguf");
}

}  // namespace
}  // namespace anamnesis::checkpoint
