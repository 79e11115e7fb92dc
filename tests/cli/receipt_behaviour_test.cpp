// SPDX-License-Identifier: Apache-2.0
//
// What receipts and patches say of the rows that they hold.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "behaviour.hpp"
#include "forged_checkpoint.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Behaviour, MeasuresTheDriftOfEightBitFloatsByTheirScales) {
    use("fp8_block16");
    ASSERT_EQ(restore({"--out", out_.string()}).exit_code, 0);
    const Json receipt = Json::parse(read_file(out_ / "anamnesis.json"));
    const CommandResult measured =
        command({"drift", "--pre", pre_.string(), "--post", post_.string(), "--json"});
    const Json parts = Json::parse(measured.output).at("parts");
    const auto& rows = receipt.at("drift").as_array("drift");
    ASSERT_FALSE(rows.empty());
    const auto find = [&](const std::string& part) {
        double largest = 0.0;
        for (const Json& row : rows) {
            if (row.at("part").as_string("part") == part) {
                largest = std::max(largest, row.at("drift_before").as_double("drift"));
                EXPECT_EQ(row.at("drift_after").as_double("drift"), 0.0);
            }
        }
        return largest;
    };
    for (const char* part : {"q", "k"}) {
        const double all = parts.at(part).as_double("drift");
        EXPECT_GE(find(part), all);
        EXPECT_LE(find(part), 1.5 * all);
    }
}

TEST_F(Behaviour, SaysThatAConfigLostTheBlocksOfItsScales) {
    use("fp8_block16");
    edit(post_ / "config.json", R"("quantization_config")", R"("lost")");
    const CommandResult result = restore({"--out", out_.string()});
    EXPECT_EQ(result.exit_code, 6);
    EXPECT_THAT(result.errors, HasSubstr("no quantization_config with a weight_block_size"));
}

TEST_F(Behaviour, NamesAllOfAWrapperAndNothingOfTheModel) {
    for (const std::string wrapper : {"policy.", "actor.module."}) {
        ForgedCheckpoint forged = forged_llama();
        for (ForgedTensor& tensor : forged.tensors) {
            tensor.name = wrapper + tensor.name;
        }
        const TemporaryFolder folder;
        forged.write(folder);
        const CommandResult result = command({"inspect", folder.path().string()});
        EXPECT_THAT(result.errors + result.output, HasSubstr("if '" + wrapper + "' is a wrapper"));
    }
}

TEST_F(Behaviour, RefusesAPatchThatDoesNotDescribeAllItsRows) {
    use("llama");
    const fs::path patch = folder_.path() / "patch.safetensors";
    ASSERT_EQ(restore({"--patch", patch.string()}).exit_code, 0);
    const std::string bytes = read_file(patch);
    std::uint64_t length = 0;
    for (unsigned i = 0; i < 8; ++i) {
        length |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    Json header = Json::parse(std::string_view(bytes).substr(8, length));
    Json metadata = header.at("__metadata__");
    Json description = Json::parse(metadata.at("anamnesis.patch").as_string("description"));
    Json::Array described = description.at("tensors").as_array("tensors");
    const std::string name = described.back().at("name").as_string("name");
    described.pop_back();
    description.set("tensors", described);
    metadata.set("anamnesis.patch", description.dump());
    header.set("__metadata__", metadata);
    std::string text = header.dump();
    ASSERT_LE(text.size(), length);
    text.append(length - text.size(), ' ');
    std::ofstream(patch, std::ios::binary)
        << bytes.substr(0, 8) << text << bytes.substr(8 + length);
    const CommandResult result =
        command({"apply", patch.string(), "--to", post_.string(), "--out", out_.string()});
    EXPECT_EQ(result.exit_code, 4) << result.output;
    EXPECT_THAT(result.errors, HasSubstr("the patch holds rows of tensor '" + name + "'"));
    EXPECT_FALSE(fs::exists(out_));
}

TEST_F(Behaviour, TellsThatAPatchIsNoCheckpointAndWhatItIsFor) {
    use("llama");
    const fs::path patch = folder_.path() / "patch.safetensors";
    ASSERT_EQ(restore({"--patch", patch.string()}).exit_code, 0);
    const std::string file = patch.string();
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"inspect", file},
          std::vector<std::string>{"restore", "--pre", file, "--post", post_.string(), "--dry-run"},
          std::vector<std::string>{"restore", "--pre", pre_.string(), "--post", file, "--dry-run"},
          std::vector<std::string>{"drift", "--pre", pre_.string(), "--post", file}}) {
        const CommandResult result = command(words);
        EXPECT_EQ(result.exit_code, 5) << words.front() << result.output;
        EXPECT_THAT(result.errors, HasSubstr("is a patch of 'restore --patch'"));
        EXPECT_THAT(result.errors, HasSubstr("apply " + file + " --to"));
        EXPECT_THAT(result.errors, Not(HasSubstr("config.json")));
    }
}

/// The codes of the findings that `--json` prints.
std::vector<std::string> list_codes(const CommandResult& result) {
    std::vector<std::string> codes;
    const Json json = Json::parse(result.output);
    for (const Json& finding : json.at("findings").as_array("findings")) {
        codes.push_back(finding.at("code").as_string("code"));
    }
    return codes;
}

TEST_F(Behaviour, TellsThatARepairChangedNothing) {
    use("llama");
    const std::string patch = (folder_.path() / "patch.safetensors").string();
    const std::string told = "nothing changed: the rows that --method lerp wrote are post's";
    for (const std::vector<std::string>& place : {std::vector<std::string>{"--out", out_.string()},
                                                  std::vector<std::string>{"--patch", patch},
                                                  std::vector<std::string>{"--in-place"}}) {
        for (const bool changes : {false, true}) {
            std::vector<std::string> words{"--method", "lerp", "--alpha", changes ? "0.5" : "0"};
            words.insert(words.end(), place.begin(), place.end());
            const CommandResult text = restore(words);
            EXPECT_EQ(text.exit_code, 0) << text.errors;
            EXPECT_EQ(text.errors.find(told) != std::string::npos, !changes) << place.front();
            fs::remove_all(out_);
            fs::remove(patch);
            words.emplace_back("--json");
            const auto codes = list_codes(restore(words));
            EXPECT_EQ(std::ranges::count(codes, "nothing_changed"), changes ? 0 : 1)
                << place.front();
            fs::remove_all(out_);
            fs::remove(patch);
        }
    }
    EXPECT_EQ(
        restore({"--method", "lerp", "--alpha", "0", "--strict", "--out", out_.string()}).exit_code,
        6);
}

TEST_F(Behaviour, TellsOfNaNInARowOfAPatch) {
    use("llama");
    std::string bytes = read_file(pre_ / "model.safetensors");
    const auto checkpoint = checkpoint::Checkpoint::open(pre_);
    const auto& query = checkpoint.at("model.layers.0.self_attn.q_proj.weight");
    bytes.replace(query.offset, 4, "\xFF\xFF\xFF\x7F");  // a NaN in F32 and in BF16
    std::ofstream(pre_ / "model.safetensors", std::ios::binary) << bytes;
    const CommandResult result =
        restore({"--json", "--patch", (folder_.path() / "patch.safetensors").string()});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_EQ(std::ranges::count(list_codes(result), "non_finite"), 1);
}

TEST_F(Behaviour, RefusesAPatchWithADamagedRow) {
    use("llama");
    const fs::path patch = folder_.path() / "patch.safetensors";
    ASSERT_EQ(restore({"--patch", patch.string()}).exit_code, 0);
    std::string bytes = read_file(patch);
    bytes.back() = static_cast<char>(bytes.back() ^ 0x40);
    std::ofstream(patch, std::ios::binary) << bytes;
    const CommandResult result =
        command({"apply", patch.string(), "--to", post_.string(), "--out", out_.string()});
    EXPECT_EQ(result.exit_code, 4);
    EXPECT_THAT(result.errors, HasSubstr("the file is damaged"));
    EXPECT_FALSE(fs::exists(out_));
}

}  // namespace
}  // namespace anamnesis::testing
