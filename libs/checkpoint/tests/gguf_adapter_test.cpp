// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "gguf_bytes.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

/// Three layers of 32 query rows, 16 key rows and 16 value rows, whose head is the embedding.
const fs::path root = fs::path(ANAMNESIS_TESTDATA) / "lora/rslora";

/// A GGUF adapter, all of whose values are zero.
class AdapterBytes {
public:
    explicit AdapterBytes(const std::string& architecture = "qwen3",
                          const std::string& type = "adapter") {
        file_.key("general.architecture", architecture);
        if (!type.empty()) {
            file_.key("general.type", type);
        }
        file_.key("adapter.type", "lora");
    }
    AdapterBytes& set_alpha(float alpha) {
        file_.key("adapter.lora.alpha", 6, testing::GgufBytes::number(alpha));
        return *this;
    }
    AdapterBytes& add(const std::string& module,
                      std::uint64_t rank,
                      std::uint64_t rows = 32,
                      std::uint64_t columns = 32) {
        const std::string name = module + ".weight.lora_";
        file_.tensor(name + "a", {columns, rank}, 0, std::string(columns * rank * 4, '\0'));
        file_.tensor(name + "b", {rank, rows}, 0, std::string(rank * rows * 4, '\0'));
        return *this;
    }
    std::string bytes() const { return file_.bytes(); }

private:
    testing::GgufBytes file_;
};

class GgufAdapters : public ::testing::Test {
protected:
    Adapter open(const AdapterBytes& bytes) {
        return open_adapter(folder_.write("adapter.gguf", bytes.bytes()));
    }

    testing::TemporaryFolder folder_;
};

std::vector<std::string> list_others(const AdapterMatch& match) {
    std::vector<std::string> names;
    for (const TensorEntry* tensor : match.others) {
        names.push_back(tensor->name);
    }
    return names;
}

std::map<std::string, double> list_scales(const AdapterMatch& match) {
    std::map<std::string, double> scales;
    for (const MatchedModule& matched : match.modules) {
        scales[matched.module->path] = matched.scale;
    }
    return scales;
}

TEST_F(GgufAdapters, NameNothingInAGgufBaseThatHasNoTensorOfTheName) {
    const AdapterPair pair(open(AdapterBytes()
                                    .add("blk.0.attn_q", 2)
                                    .add("blk.0.attn_typo", 2)
                                    .add("blk.3.ffn_up", 2, 48)
                                    .add("blk.9.attn_q", 2)
                                    .add("output", 2, 97)
                                    .add("token_embd", 2)),
                           open_recognised(root / "gguf/base.gguf"),
                           PrefixRule::loaders);
    EXPECT_EQ(pair.match.modules.size(), 1U);
    EXPECT_THAT(pair.match.unmatched,
                UnorderedElementsAre("blk.0.attn_typo.weight.lora_a",
                                     "blk.0.attn_typo.weight.lora_b",
                                     "blk.3.ffn_up.weight.lora_a",
                                     "blk.3.ffn_up.weight.lora_b",
                                     "blk.9.attn_q.weight.lora_a",
                                     "blk.9.attn_q.weight.lora_b",
                                     "output.weight.lora_a",
                                     "output.weight.lora_b"));
    // Its A is stored transposed.
    EXPECT_THAT(list_others(pair.match),
                UnorderedElementsAre("token_embd.weight.lora_a", "token_embd.weight.lora_b"));
    EXPECT_THAT(pair.match.halves, IsEmpty());
}

TEST_F(GgufAdapters, NameNothingInASafetensorsBaseWithoutTheBlockOrTheProjection) {
    const AdapterPair pair(open(AdapterBytes()
                                    .add("blk.0.attn_q", 2)
                                    .add("blk.0.attn_qkv", 2, 64)
                                    .add("blk.2.ffn_up", 2, 48)
                                    .add("blk.3.ffn_up", 2, 48)
                                    .add("output", 2, 97)),
                           open_recognised(root / "base"),
                           PrefixRule::loaders);
    EXPECT_EQ(pair.match.modules.size(), 1U);
    EXPECT_THAT(pair.match.unmatched,
                UnorderedElementsAre("blk.0.attn_qkv.weight.lora_a",
                                     "blk.0.attn_qkv.weight.lora_b",
                                     "blk.3.ffn_up.weight.lora_a",
                                     "blk.3.ffn_up.weight.lora_b"));
    EXPECT_THAT(list_others(pair.match),
                UnorderedElementsAre("blk.2.ffn_up.weight.lora_a",
                                     "blk.2.ffn_up.weight.lora_b",
                                     "output.weight.lora_a",
                                     "output.weight.lora_b"));
}

TEST_F(GgufAdapters, ThatNameNothingAreRefusedWithoutAdviceForPeft) {
    const AdapterPair pair(open(AdapterBytes().add("blk.9.attn_q", 2)),
                           open_recognised(root / "gguf/base.gguf"),
                           PrefixRule::loaders);
    try {
        refuse_unfit(pair.match, AdapterUse::repair, false);
        ADD_FAILURE() << "nothing was refused";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(),
                    AllOf(HasSubstr("blk.9.attn_q.weight.lora_a"), Not(HasSubstr("PEFT"))));
    }
}

TEST_F(GgufAdapters, OfAnotherArchitectureThanTheBaseAreRefused) {
    for (const char* base : {"gguf/base.gguf", "base"}) {
        const AdapterPair fitting(open(AdapterBytes().add("blk.0.attn_q", 2)),
                                  open_recognised(root / base),
                                  PrefixRule::loaders);
        EXPECT_THAT(fitting.match.problems, IsEmpty()) << base;
        const AdapterPair pair(open(AdapterBytes("qwen2").add("blk.0.attn_q", 2)),
                               open_recognised(root / base),
                               PrefixRule::loaders);
        try {
            refuse_unfit(pair.match, AdapterUse::repair, false);
            ADD_FAILURE() << "an adapter of qwen2 was taken for " << base;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::mismatch);
            EXPECT_THAT(error.message(), AllOf(HasSubstr("'qwen2'"), HasSubstr("'qwen3'")));
        }
    }
}

TEST_F(GgufAdapters, FitABaseWhoseFamilyIsNamedByARoutingFile) {
    RecognisedCheckpoint base = open_recognised(root / "base");
    base.model.family = "my-hybrid";
    const AdapterPair pair(
        open(AdapterBytes().add("blk.0.attn_q", 2)), std::move(base), PrefixRule::loaders);
    EXPECT_THAT(pair.match.problems, IsEmpty());
}

TEST_F(GgufAdapters, ThatDoNotCallThemselvesOneAreToldWhatTheyLack) {
    const fs::path path =
        folder_.write("untyped.gguf", AdapterBytes("qwen3", "").add("blk.0.attn_q", 2).bytes());
    EXPECT_FALSE(is_adapter(path));
    try {
        static_cast<void>(open_recognised(path));
        ADD_FAILURE() << "an adapter was taken for a checkpoint";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.message(),
                    AllOf(HasSubstr("general.type"), Not(HasSubstr("adapter_model.safetensors"))));
    }
}

/// llama.cpp: `alpha ? alpha / rank : 1`.
TEST_F(GgufAdapters, WithoutAlphaHaveAScaleOfOneWhateverTheRank) {
    const auto add_ranks = [](AdapterBytes bytes) {
        return bytes.add("blk.0.attn_q", 4).add("blk.1.attn_q", 4).add("blk.2.attn_v", 2, 16);
    };
    const std::map<std::string, double> ones{
        {"blk.0.attn_q", 1.0}, {"blk.1.attn_q", 1.0}, {"blk.2.attn_v", 1.0}};
    const std::map<std::string, double> shares{
        {"blk.0.attn_q", 2.0}, {"blk.1.attn_q", 2.0}, {"blk.2.attn_v", 4.0}};
    const auto find_scales = [&](const AdapterBytes& bytes) {
        const AdapterPair pair(
            open(bytes), open_recognised(root / "gguf/base.gguf"), PrefixRule::loaders);
        // That of most modules, wherever they lie in the file.
        EXPECT_EQ(pair.adapter.config.rank, 4U);
        EXPECT_THAT(pair.match.problems, IsEmpty());
        return list_scales(pair.match);
    };
    EXPECT_EQ(find_scales(add_ranks(AdapterBytes())), ones);
    EXPECT_EQ(find_scales(add_ranks(AdapterBytes().set_alpha(0.0F))), ones);
    EXPECT_EQ(find_scales(add_ranks(AdapterBytes().set_alpha(8.0F))), shares);
}

}  // namespace
}  // namespace anamnesis::checkpoint
