// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/row_selection.hpp"

#include <filesystem>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::forged_llama;
using ::testing::HasSubstr;
using testing::TemporaryFolder;
using ::testing::UnorderedElementsAre;

class SelectRows : public ::testing::Test {
protected:
    SelectRows() {
        forged_llama().write(folder_);
        opened_ = open_recognised(folder_.path());
    }

    auto select(std::string_view words) const {
        return select_rows(opened_.checkpoint, opened_.model, parse_row_selection(words), words);
    }

    std::string find_failure(std::string_view words) const {
        try {
            static_cast<void>(select(words));
        } catch (const Error& error) {
            return std::string(to_string(error.kind())) + ": " + error.what();
        }
        return "no error";
    }

    TemporaryFolder folder_;
    RecognisedCheckpoint opened_;
};

TEST(RowSelection, IsGroupsThenLayersThenHeads) {
    const RowSelection plain = parse_row_selection("qk");
    EXPECT_THAT(plain.groups, ElementsAre(TensorGroup::q, TensorGroup::k));
    EXPECT_FALSE(plain.layers);
    EXPECT_FALSE(plain.kv_heads);
    const RowSelection whole = parse_row_selection("mlp+norms@0-2,7#1");
    EXPECT_THAT(whole.groups, UnorderedElementsAre(TensorGroup::mlp, TensorGroup::norms));
    EXPECT_THAT(*whole.layers, ElementsAre(0, 1, 2, 7));
    EXPECT_THAT(*whole.kv_heads, ElementsAre(1));
    EXPECT_THAT(parse_row_selection("q,k,v#0").groups,
                ElementsAre(TensorGroup::q, TensorGroup::k, TensorGroup::v));
}

TEST(RowSelection, NamesTheWordThatIsNoGroup) {
    try {
        parse_tensor_groups("q,queries", "--groups");
        FAIL() << "a word that is no group was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("--groups"), HasSubstr("'queries'")));
    }
}

TEST(RowSelection, TellsThatAllStandsAlone) {
    for (const char* words : {"all,q", "mlp+all"}) {
        try {
            parse_tensor_groups(words, "--groups");
            FAIL() << words << " was taken";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.what(), HasSubstr("give it alone"));
        }
    }
}

TEST_F(SelectRows, TakesWholeTensors) {
    const auto layer = select("qk@1");
    ASSERT_EQ(layer.size(), 2U);
    EXPECT_TRUE(layer.contains("model.layers.1.self_attn.q_proj.weight"));
    EXPECT_TRUE(select("embedding").contains("model.embed_tokens.weight"));
}

/// Two key heads of 16 rows serve four query heads, whose rows and gates take turns in q_proj.
TEST(SelectRowsOfAHead, TakesItsKeysAndTheQueriesThatShareThem) {
    const auto opened =
        open_recognised(std::filesystem::path(ANAMNESIS_TESTDATA) / "models" / "qwen3_next_base");
    const auto rows =
        select_rows(opened.checkpoint, opened.model, parse_row_selection("qk@3#1"), "qk@3#1");
    EXPECT_EQ(rows.size(), 2U);
    EXPECT_THAT(rows.at("model.layers.3.self_attn.k_proj.weight"), ElementsAre(RowRange{16, 32}));
    EXPECT_THAT(rows.at("model.layers.3.self_attn.q_proj.weight"),
                ElementsAre(RowRange{64, 80}, RowRange{96, 112}));
}

TEST_F(SelectRows, RefusesWhatTheModelDoesNotHave) {
    EXPECT_THAT(find_failure("qk@99"), AllOf(HasSubstr("usage"), HasSubstr("layer 99")));
    EXPECT_THAT(find_failure("qk#99"), AllOf(HasSubstr("usage"), HasSubstr("head 99")));
    EXPECT_THAT(find_failure("latent"), AllOf(HasSubstr("not found"), HasSubstr("'latent'")));
}

}  // namespace
}  // namespace anamnesis::checkpoint
