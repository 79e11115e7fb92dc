// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/row_selection.hpp"

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
            return std::string(name_of(error.kind())) + ": " + error.what();
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

TEST_F(SelectRows, TakesWholeTensorsAndRowsOfHeads) {
    const auto layer = select("qk@1");
    ASSERT_EQ(layer.size(), 2U);
    EXPECT_TRUE(layer.contains("model.layers.1.self_attn.q_proj.weight"));
    const auto& heads = *opened_.model.heads;
    const auto one = select("qk@1#0");
    const auto& keys = one.at("model.layers.1.self_attn.k_proj.weight");
    ASSERT_EQ(keys.size(), 1U);
    EXPECT_EQ(keys.front().begin, 0U);
    EXPECT_EQ(keys.front().size(), heads.head_dim);
    EXPECT_EQ(one.at("model.layers.1.self_attn.q_proj.weight").front().size(),
              heads.head_dim * heads.query_heads / heads.kv_heads);
    EXPECT_TRUE(select("embedding").contains("model.embed_tokens.weight"));
}

TEST_F(SelectRows, RefusesWhatTheModelDoesNotHave) {
    EXPECT_THAT(find_failure("qk@99"), AllOf(HasSubstr("usage"), HasSubstr("layer 99")));
    EXPECT_THAT(find_failure("qk#99"), AllOf(HasSubstr("usage"), HasSubstr("head 99")));
    EXPECT_THAT(find_failure("latent"), AllOf(HasSubstr("not found"), HasSubstr("'latent'")));
}

}  // namespace
}  // namespace anamnesis::checkpoint
