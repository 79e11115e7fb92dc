// SPDX-License-Identifier: Apache-2.0
//
// Kinds of pairs beyond the recorded cases: what of pre and post does not fit.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/bytes.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "field_kinds.hpp"
#include "folder_snapshot.hpp"
#include "forged_checkpoint.hpp"
#include "renamed_tensors.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;

using ::testing::HasSubstr;

using ::testing::Not;

TEST_F(FieldKinds, RotarySettingsAreComparedByMeaning) {
    const auto expect_fits = [](const std::string& pre, const std::string& post, bool fits) {
        use("qwen3");
        const auto set = [](const std::string& side, const std::string& members) {
            edit_config(side, [&](Json& config) {
                config.set("rope_parameters", Json());
                config.set("rope_theta", Json());
                config.set("max_position_embeddings", 32768);
                const Json more = Json::parse(members);
                for (const auto& [key, value] : more.as_object("members")) {
                    config.set(key, value);
                }
            });
        };
        set("pre", pre);
        set("post", post);
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, fits ? 0 : 6) << pre << post << result.errors;
    };
    expect_fits(
        R"({"rope_theta": 10000})", R"({"rope_parameters": {"rope_theta": 10000.0}})", true);
    expect_fits(R"({"rope_theta": 10000})", "{}", true);
    expect_fits(R"({"rope_scaling": {"type": "linear", "factor": 1}})", "{}", true);
    expect_fits(R"({"rope_scaling": {"type": "linear", "factor": 2}})",
                R"({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "attn": null}})",
                true);
    expect_fits(R"({"rope_scaling": {"type": "yarn", "factor": 4}})",
                R"({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 32.0,
                    "beta_slow": 1.0, "attention_factor": 1.1386294361119891, "truncate": true,
                    "original_max_position_embeddings": 32768, "rope_theta": 10000.0}})",
                true);
    expect_fits(R"({"rope_scaling": {"type": "yarn", "factor": 4}})",
                R"({"rope_scaling": {"type": "yarn", "factor": 8}})",
                false);
    expect_fits(R"({"rope_theta": 10000})", R"({"rope_theta": 1000000})", false);
    expect_fits(R"({"rope_scaling": {"type": "llama3", "factor": 8, "low_freq_factor": 1,
                    "high_freq_factor": 4, "original_max_position_embeddings": 8192}})",
                R"({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})",
                true);
}

/// Flips one bit of a tensor of a folder with one weight file.
void flip_bit(const fs::path& folder, const std::string& name, std::uint64_t byte) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder);
    const auto& tensor = checkpoint.at(name);
    const fs::path file = checkpoint.files()[tensor.file].path();
    std::string bytes = read_file(file);
    bytes[tensor.offset + byte] = static_cast<char>(bytes[tensor.offset + byte] ^ 0x10);
    std::ofstream(file, std::ios::binary) << bytes;
}

TEST_F(FieldKinds, ValuesAreRequantisedIntoFp8AndProven) {
    // The fine-tune is FP8 with a scale a row, its base BF16.
    const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "field/surgery/fp8_pre_bf16_post";
    fs::copy(pair / "post", "pre", fs::copy_options::recursive);
    fs::copy(pair / "pre", "post", fs::copy_options::recursive);
    const CommandResult result = restore();
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("requantised: pre's values, rounded to nearest"));
    const auto before = tensor_digests("post");
    for (const auto& [name, digest] : tensor_digests("out")) {
        const bool is_taken = name.find("self_attn.q_proj.weight") != std::string::npos ||
                              name.find("self_attn.k_proj.weight") != std::string::npos;
        EXPECT_EQ(digest == before.at(name), !is_taken) << name;
    }
    EXPECT_EQ(verify().exit_code, 0);
    for (const char* name :
         {"model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.k_proj.weight"}) {
        flip_bit("out", name, 3);
        const CommandResult refuted = verify();
        EXPECT_EQ(refuted.exit_code, 1);
        EXPECT_THAT(refuted.output, HasSubstr(name));
        flip_bit("out", name, 3);
    }
    // A scale that is off by a factor leaves no row of its block right.
    flip_bit("out", "model.layers.0.self_attn.q_proj.weight_scale", 1);
    EXPECT_EQ(verify().exit_code, 1);
    flip_bit("out", "model.layers.0.self_attn.q_proj.weight_scale", 1);
    // What went to FP8 and back is near what it was: half a unit in the last place.
    fs::rename("out", "fp8");
    const CommandResult drift = command({"drift", "--pre", "pre", "--post", "fp8", "--json"});
    ASSERT_EQ(drift.exit_code, 0);
    const Json parts = Json::parse(drift.output).at("parts");
    EXPECT_LT(parts.at("q").as_double("q"), 0.04);
    EXPECT_GT(parts.at("v").as_double("v"), 0.04);
}

TEST_F(FieldKinds, Fp8WithoutAnyScaleIsNoPlainCastWhereItCannotBe) {
    const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "field/surgery/fp8_pre_bf16_post";
    for (const auto& [name, fact] :
         {std::pair<std::string, std::string>{"scale_weight", "is no name of a scale"},
          {"weight_factor", "times as large as those of the other"}}) {
        fs::remove_all("pre");
        fs::remove_all("post");
        fs::copy(pair / "pre", "pre", fs::copy_options::recursive);
        fs::copy(pair / "post", "post", fs::copy_options::recursive);
        rename_tensors("pre", [&](const std::string& old) {
            const std::size_t at = old.find("weight_scale");
            return at == std::string::npos ? old : old.substr(0, at) + name;
        });
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, 6) << result.output;
        EXPECT_THAT(result.errors, AllOf(HasSubstr("has no scale"), HasSubstr(fact)));
        EXPECT_FALSE(fs::exists("out"));
    }
}

/// Every BF16 value four times as large, and in another place of its tensor.
void shuffle_and_enlarge(const fs::path& folder) {
    for (const auto& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() != ".safetensors") {
            continue;
        }
        std::string bytes = read_file(entry.path());
        const std::size_t length =
            static_cast<unsigned char>(bytes[0]) + 256U * static_cast<unsigned char>(bytes[1]);
        const Json header = Json::parse(std::string_view(bytes).substr(8, length));
        for (const auto& [name, value] : header.as_object("header")) {
            if (name == "__metadata__" || value.at("dtype").as_string("dtype") != "BF16") {
                continue;
            }
            const auto offsets = value.at("data_offsets").as_array("data_offsets");
            const auto begin = 8 + length + offsets[0].as_unsigned("begin");
            const auto end = 8 + length + offsets[1].as_unsigned("end");
            for (std::size_t left = begin, right = end - 2; left < right; left += 2, right -= 2) {
                std::swap(bytes[left], bytes[right]);
                std::swap(bytes[left + 1], bytes[right + 1]);
            }
            for (std::size_t at = begin; at < end; at += 2) {
                bytes[at + 1] = static_cast<char>(bytes[at + 1] + 1);
            }
        }
        std::ofstream(entry.path(), std::ios::binary) << bytes;
    }
}

TEST_F(FieldKinds, AnUnrelatedPreIsToldHoweverLargeItIs) {
    use("qwen3_next");
    ASSERT_EQ(restore().exit_code, 0);
    fs::remove_all("out");
    shuffle_and_enlarge("pre");
    const CommandResult result = restore();
    EXPECT_EQ(result.exit_code, 6) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("unrelated"));
}

TEST_F(FieldKinds, AConfigThatOneOfAPairLacksIsThatOfTheOther) {
    for (const char* family : {"jamba", "falcon_h1"}) {
        use(family);
        fs::remove("post/config.json");
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, 6) << result.output;
        EXPECT_THAT(result.errors, HasSubstr("give --config pre/config.json"));
    }
}

TEST_F(FieldKinds, AnUnknownWrapperIsNamed) {
    use("jamba");
    rename_tensors("post", [](const std::string& old) { return "state_model." + old; });
    const CommandResult result = restore();
    EXPECT_NE(result.exit_code, 0) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("'state_model."));
}

TEST_F(FieldKinds, RowsOfFp8GoInPlaceAndIntoPatches) {
    const fs::path pair = fs::path(ANAMNESIS_TESTDATA) / "field/surgery/fp8_pre_bf16_post";
    fs::copy(pair / "post", "pre", fs::copy_options::recursive);
    fs::copy(pair / "pre", "post", fs::copy_options::recursive);
    ASSERT_EQ(restore().exit_code, 0);
    const auto expected = tensor_digests("out");
    const std::vector<std::string> sources{"restore", "--pre", "pre", "--post", "post"};
    const auto run = [&](std::vector<std::string> options) {
        options.insert(options.begin(), sources.begin(), sources.end());
        return command(options);
    };
    ASSERT_EQ(run({"--patch", "p.safetensors"}).exit_code, 0);
    fs::remove_all("out");
    ASSERT_EQ(command({"apply", "p.safetensors", "--to", "post", "--out", "out"}).exit_code, 0);
    EXPECT_EQ(tensor_digests("out"), expected);
    const auto before = snapshot("post");
    ASSERT_EQ(run({"--in-place"}).exit_code, 0);
    EXPECT_EQ(tensor_digests("post"), expected);
    ASSERT_EQ(command({"undo", "post"}).exit_code, 0);
    EXPECT_EQ(snapshot("post"), before);
}

TEST_F(FieldKinds, ASharedBlockIsPairedWhicheverUserStoresIt) {
    const auto under_another_user = [](const std::string& name) {
        const std::string home = "layers.0.shared_transformer";
        const std::size_t at = name.find(home);
        return at == std::string::npos
                   ? name
                   : std::string(name).replace(at, home.size(), "layers.3.shared_transformer");
    };
    use("zamba2");
    ASSERT_EQ(restore().exit_code, 0);
    const auto expected = tensor_digests("out");
    use("zamba2");
    rename_tensors("pre", under_another_user);
    ASSERT_EQ(restore().exit_code, 0);
    EXPECT_EQ(tensor_digests("out"), expected);
    EXPECT_EQ(verify().exit_code, 0);
    use("zamba2");
    rename_tensors("post", under_another_user);
    const CommandResult result = restore();
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    std::map<std::string, std::string> renamed;
    for (const auto& [name, digest] : expected) {
        renamed[under_another_user(name)] = digest;
    }
    EXPECT_EQ(tensor_digests("out"), renamed);
    EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(FieldKinds, TheDoctorExaminesAPairAndGivesTheCommand) {
    use("qwen3");
    const CommandResult healthy = command({"doctor", "pre", "post"});
    EXPECT_EQ(healthy.exit_code, 0) << healthy.output << healthy.errors;
    EXPECT_THAT(healthy.output,
                HasSubstr("repair with: anamnesis restore --pre pre --post post --out "
                          "post-restored"));
    // A NaN and a layer of zeros.
    const auto tensors = checkpoint::Checkpoint::open("post");
    std::string bytes = read_file("post/model.safetensors");
    const auto& broken = tensors.at("model.layers.0.mlp.up_proj.weight");
    bytes[broken.offset + 8] = '\xC0';
    bytes[broken.offset + 9] = '\x7F';
    const auto& empty = tensors.at("model.layers.1.mlp.down_proj.weight");
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(empty.offset), empty.bytes, '\0');
    std::ofstream("post/model.safetensors", std::ios::binary) << bytes;
    folder_.write("post/tokenizer.json",
                  R"({"model": {"vocab": {"a": 0, "b": 96}}, "added_tokens": [{"id": 97}]})");
    const CommandResult ill = command({"doctor", "post", "--html", "page.html"});
    EXPECT_EQ(ill.exit_code, 1);
    EXPECT_THAT(ill.output,
                AllOf(HasSubstr("1 NaN and 0 infinite values in 1 tensor"),
                      HasSubstr("row 0, column 4 of 'model.layers.0.mlp.up_proj.weight'"),
                      HasSubstr("a matrix is of one value throughout: "
                                "'model.layers.1.mlp.down_proj.weight'"),
                      HasSubstr("tokenizer.json has tokens up to 97, the embedding has rows for "
                                "97")));
    EXPECT_THAT(read_file("page.html"), HasSubstr("tokenizer_larger"));
}

}  // namespace
}  // namespace anamnesis::testing
