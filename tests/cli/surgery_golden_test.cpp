// SPDX-License-Identifier: Apache-2.0
//
// The real binary on pairs of checkpoints that other libraries wrote, against digests that an
// independent script made (testdata/surgery/README.md).
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Digests = std::map<std::string, std::string>;

const fs::path surgery = fs::path(ANAMNESIS_TESTDATA) / "surgery";

/// One expected file: a family, and "qk", "k.sliding", "qk.one-layer"…
struct Case {
    std::string family;
    std::string name;
};

void PrintTo(const Case& entry, std::ostream* stream) {
    *stream << entry.family << "." << entry.name;
}

Json expectation(const Case& entry) {
    return Json::parse(
        read_file(surgery / entry.family / "expected" / (entry.name + ".sha256.json")));
}

bool changes_nothing(const Case& entry) {
    return expectation(entry).at("changed").as_array("changed").empty();
}

enum class Effect { some, none };

std::vector<Case> find_cases(Effect effect) {
    std::vector<Case> cases;
    for (const auto& family : fs::directory_iterator(surgery)) {
        if (!fs::is_directory(family.path() / "expected")) {
            continue;
        }
        for (const auto& file : fs::directory_iterator(family.path() / "expected")) {
            const std::string name = file.path().stem().stem().string();
            const Case entry{family.path().filename().string(), name};
            if (name != "post" && changes_nothing(entry) == (effect == Effect::none)) {
                cases.push_back(entry);
            }
        }
    }
    std::ranges::sort(cases, {}, [](const Case& entry) { return entry.family + "." + entry.name; });
    return cases;
}

std::vector<std::string> options_for(const Json& expected) {
    std::vector<std::string> options{"--method", expected.at("method").as_string("method")};
    for (const Json& item : expected.at("switches").as_array("switches")) {
        const std::string name = item.as_string("switch");
        options.push_back(name == "no-bias" ? "--no-bias" : "--include-" + name);
    }
    if (!expected.at("layers").is_null()) {
        std::vector<std::string> layers;
        for (const Json& layer : expected.at("layers").as_array("layers")) {
            layers.push_back(layer.dump());
        }
        options.emplace_back("--layers");
        options.push_back(join(layers, ","));
    }
    return options;
}

Digests expected_digests(const Case& entry) {
    Digests digests;
    const auto add = [&](const Json& json) {
        for (const auto& [name, digest] : json.as_object("digests")) {
            digests[name] = digest.as_string("digest");
        }
    };
    const Json post =
        Json::parse(read_file(surgery / entry.family / "expected" / "post.sha256.json"));
    add(post.find("tensors") != nullptr ? post.at("tensors") : post);
    add(expectation(entry).at("tensors"));
    return digests;
}

class Surgery : public ::testing::TestWithParam<Case> {
protected:
    CommandResult command(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments);
    }
    std::vector<std::string> restore(const std::vector<std::string>& destination) {
        const fs::path family = surgery / GetParam().family;
        std::vector<std::string> arguments{
            "restore", "--pre", (family / "pre").string(), "--post", post_.string()};
        const auto options = options_for(expectation(GetParam()));
        arguments.insert(arguments.end(), options.begin(), options.end());
        arguments.insert(arguments.end(), destination.begin(), destination.end());
        return arguments;
    }

    TemporaryFolder folder_;
    fs::path post_ = surgery / GetParam().family / "post";
    fs::path out_ = folder_.path() / "out";
};

TEST_P(Surgery, RestoresEveryTensorToItsExpectedDigest) {
    const auto restored = command(restore({"--out", out_.string()}));
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_EQ(tensor_digests(out_), expected_digests(GetParam()));

    const Json receipt = Json::parse(read_file(out_ / "anamnesis.json"));
    const Json expected = expectation(GetParam());
    EXPECT_EQ(receipt.at("bytes_changed").as_unsigned("bytes"),
              expected.at("bytes_from_pre").as_unsigned("bytes"));

    // Everything beside the weights is post's, and so are the headers.
    auto made = snapshot(out_);
    made.erase("anamnesis.json");
    const auto original = snapshot(post_);
    ASSERT_EQ(made.size(), original.size());
    for (const auto& [name, bytes] : original) {
        if (!name.ends_with(".safetensors")) {
            EXPECT_EQ(made[name], bytes) << name;
        }
        EXPECT_EQ(made[name].size(), bytes.size()) << name;
    }
}

TEST_P(Surgery, VerifiesItsOwnRepairAndNamesAFlippedBit) {
    ASSERT_EQ(command(restore({"--out", out_.string()})).exit_code, 0);
    std::vector<std::string> verify{"verify",
                                    "--pre",
                                    (surgery / GetParam().family / "pre").string(),
                                    "--post",
                                    post_.string(),
                                    "--repaired",
                                    out_.string()};
    const auto options = options_for(expectation(GetParam()));
    verify.insert(verify.end(), options.begin(), options.end());
    const auto proven = command(verify);
    EXPECT_EQ(proven.exit_code, 0) << proven.output << proven.errors;

    const std::string changed =
        expectation(GetParam()).at("changed").as_array("changed").front().as_string("name");
    const auto checkpoint = checkpoint::Checkpoint::open(out_);
    const auto& tensor = checkpoint.at(changed);
    const fs::path file = checkpoint.files()[tensor.file].path();
    std::string bytes = read_file(file);
    bytes[tensor.offset + tensor.bytes - 1] =
        static_cast<char>(bytes[tensor.offset + tensor.bytes - 1] ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;
    const auto refuted = command(verify);
    EXPECT_EQ(refuted.exit_code, 1) << refuted.output;
    EXPECT_THAT(refuted.output, HasSubstr(changed));
}

TEST_P(Surgery, RepairsInPlaceAndUndoesEveryByte) {
    const fs::path original = post_;
    post_ = folder_.path() / "post";
    fs::copy(original, post_, fs::copy_options::recursive);
    const auto restored = command(restore({"--in-place"}));
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_EQ(tensor_digests(post_), expected_digests(GetParam()));
    const auto again = command(restore({"--in-place"}));
    EXPECT_EQ(again.exit_code, 0) << again.errors;
    EXPECT_EQ(tensor_digests(post_), expected_digests(GetParam()));
    const auto undone = command({"undo", post_.string()});
    ASSERT_EQ(undone.exit_code, 0) << undone.errors;
    EXPECT_EQ(snapshot(post_), snapshot(original));
}

TEST_P(Surgery, AppliesItsPatchElsewhere) {
    const fs::path patch = folder_.path() / "repair.safetensors";
    const auto written = command(restore({"--patch", patch.string()}));
    ASSERT_EQ(written.exit_code, 0) << written.errors;
    const fs::path elsewhere = folder_.path() / "elsewhere";
    fs::copy(post_, elsewhere, fs::copy_options::recursive);
    const auto to_folder =
        command({"apply", patch.string(), "--to", elsewhere.string(), "--out", out_.string()});
    ASSERT_EQ(to_folder.exit_code, 0) << to_folder.errors;
    EXPECT_EQ(tensor_digests(out_), expected_digests(GetParam()));
    const auto in_place = command({"apply", patch.string(), "--to", elsewhere.string()});
    ASSERT_EQ(in_place.exit_code, 0) << in_place.errors;
    EXPECT_EQ(tensor_digests(elsewhere), expected_digests(GetParam()));
    // A second time the digests differ, and the patch says so.
    const auto refused = command({"apply",
                                  patch.string(),
                                  "--to",
                                  elsewhere.string(),
                                  "--out",
                                  (folder_.path() / "x").string()});
    EXPECT_EQ(refused.exit_code, 6);
    EXPECT_THAT(refused.errors, HasSubstr("another SHA-256"));
}

std::string make_test_name(const ::testing::TestParamInfo<Case>& info) {
    std::string name = info.param.family + "_" + info.param.name;
    std::ranges::replace_if(
        name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Families,
                         Surgery,
                         ::testing::ValuesIn(find_cases(Effect::some)),
                         make_test_name);

class EmptySurgery : public Surgery {};

TEST_P(EmptySurgery, IsRefusedAndNamesTheSwitchThatWouldGiveItRows) {
    const auto refused = command(restore({"--out", out_.string()}));
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.errors, HasSubstr("nothing would change"));
    EXPECT_THAT(refused.errors, HasSubstr("--include-sliding"));
    EXPECT_FALSE(fs::exists(out_));
}

INSTANTIATE_TEST_SUITE_P(Families,
                         EmptySurgery,
                         ::testing::ValuesIn(find_cases(Effect::none)),
                         make_test_name);

}  // namespace
}  // namespace anamnesis::testing
