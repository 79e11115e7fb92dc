// SPDX-License-Identifier: Apache-2.0
//
// How the scales of 8-bit floats are read.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using testing::forged_llama;
using testing::ForgedCheckpoint;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;

class FindScaleOf : public ::testing::Test {
protected:
    /// The scale of an FP8 matrix of 64 rows and 96 columns.
    ScaleTensor find(DType dtype, Shape shape, const std::string& config = "{}") {
        ForgedCheckpoint forged;
        forged.config.set("quantization_config", Json::parse(config));
        forged.add("a.weight", {64, 96}, DType::f8_e4m3);
        forged.add("a.weight_scale", std::move(shape), dtype);
        forged.write(folder_);
        checkpoint_.emplace(Checkpoint::open(folder_.path()));
        return find_scale(*checkpoint_, "a.weight").value();
    }

    TemporaryFolder folder_;
    std::optional<Checkpoint> checkpoint_;
};

TEST_F(FindScaleOf, ReadsBlocksOfMicroscalingWithoutAWordOfTheConfig) {
    for (const DType dtype : {DType::u8, DType::f8_e8m0}) {
        const ScaleTensor scale = find(dtype, {64, 3});
        EXPECT_EQ(scale.rows_per_block, 1U);
        EXPECT_EQ(scale.columns_per_block, 32U);
        EXPECT_EQ(scale.value_type, DType::f8_e8m0);
        EXPECT_EQ(describe_unreadable(scale), "");
    }
    // Floats have such blocks only where the config says so.
    EXPECT_THROW(find(DType::f32, {64, 3}), Error);
    EXPECT_EQ(find(DType::f32, {64, 3}, R"({"weight_block_size": [1, 32]})").value_type,
              DType::f32);
}

TEST_F(FindScaleOf, TakesU8ForExponentsWhereTheConfigSaysSo) {
    EXPECT_FALSE(find(DType::u8, {64, 1}).value_type);
    EXPECT_EQ(find(DType::u8, {64, 1}, R"({"scale_fmt": "ue8m0"})").value_type, DType::f8_e8m0);
}

TEST_F(FindScaleOf, NamesWhatCannotBeRead) {
    for (const DType dtype : {DType::i32, DType::f8_e4m3, DType::u8}) {
        const ScaleTensor scale = find(dtype, {64, 1});
        EXPECT_FALSE(scale.value_type);
        EXPECT_THAT(describe_unreadable(scale),
                    AllOf(HasSubstr("scale tensor 'a.weight_scale' is"),
                          HasSubstr(to_string(dtype)),
                          HasSubstr("[64, 1]"),
                          HasSubstr("F8_E8M0")));
    }
}

TEST_F(FindScaleOf, SeesRowsThroughDimensionsOfOne) {
    const ScaleTensor scale = find(DType::f32, {64, 1, 1});
    EXPECT_EQ(scale.rows_per_block, 1U);
    EXPECT_EQ(scale.columns_per_block, 96U);
}

TEST_F(FindScaleOf, AdvisesNoBlocksThatTheTypeCannotHave) {
    try {
        find(DType::f8_e8m0, {64, 5});
        FAIL() << "five scales for 96 columns";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("1 by 32 or 128 by 128"));
    }
}

TEST_F(FindScaleOf, SaysHowScalesOfRowsLieWhereTheyLieTurned) {
    try {
        find(DType::f32, {1, 64});
        FAIL() << "64 scales for 96 columns";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("scales of rows are [64, 1]"));
    }
    EXPECT_EQ(find(DType::f32, {1, 96}).columns_per_block, 1U);
}

TEST(FindScale, DoesNotGuessWhetherASquareMatrixIsScaledByRowsOrColumns) {
    const TemporaryFolder folder;
    const auto write = [&](Shape shape, const std::string& quantisation) {
        ForgedCheckpoint forged = forged_llama(1);
        forged.config.set("quantization_config", Json::parse(quantisation));
        forged.add("a.weight", {64, 64}, DType::f8_e4m3);
        forged.add("a.weight_scale", std::move(shape), DType::f32);
        forged.write(folder);
    };
    const auto read = [&] {
        const Checkpoint checkpoint = Checkpoint::open(folder.path());
        const ScaleTensor scale = find_scale(checkpoint, "a.weight").value();
        return std::pair(scale.value_type.has_value(), describe_unreadable(scale));
    };
    write({1, 64}, "{}");
    const auto [is_read, why] = read();
    EXPECT_FALSE(is_read);
    EXPECT_THAT(why, AllOf(HasSubstr("[1, 64]"), HasSubstr("rows are [64, 1]")));
    std::vector<std::string> told;
    for (const Finding& finding : open_recognised(folder.path()).findings()) {
        told.push_back(finding.code);
    }
    EXPECT_THAT(told, Contains("scale_shape"));
    EXPECT_THAT(told, Not(Contains("scale_type")));
    write({1, 64}, R"({"weight_block_size": [64, 1]})");
    EXPECT_TRUE(read().first) << "the config says columns";
    write({64, 1}, "{}");
    EXPECT_TRUE(read().first);
    write({64}, "{}");
    EXPECT_TRUE(read().first);
}

TEST(FindScale, RefusesTwoScalesOfOneWeight) {
    ForgedCheckpoint forged;
    forged.add("a.weight", {64, 96}, DType::f8_e4m3);
    forged.add("a.weight_scale", {64, 1}, DType::f32);
    forged.add("a.weight_scale_inv", {64, 1}, DType::f32);
    const TemporaryFolder folder;
    forged.write(folder);
    try {
        find_scale(Checkpoint::open(folder.path()), "a.weight");
        FAIL() << "one of them was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.message(), HasSubstr("has two scales"));
    }
}

TEST(Findings, TellScalesOfATypeThatHoldsNone) {
    ForgedCheckpoint forged = forged_llama(1);
    const std::string name = "model.layers.0.self_attn.q_proj.weight";
    forged.at(name).dtype = DType::f8_e4m3;
    forged.add(name + "_scale", {8, 1}, DType::i32);
    const TemporaryFolder folder;
    forged.write(folder);
    const auto findings = open_recognised(folder.path(), {}, {.missing = Missing::warn}).findings();
    bool is_told = false;
    for (const Finding& finding : findings) {
        if (finding.code == "scale_type") {
            is_told = true;
            EXPECT_EQ(finding.severity, Severity::error);
            EXPECT_THAT(finding.sentence, HasSubstr("is I32 with shape [8, 1]"));
        }
    }
    EXPECT_TRUE(is_told);
}

}  // namespace
}  // namespace anamnesis::checkpoint
