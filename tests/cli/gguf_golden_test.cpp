// SPDX-License-Identifier: Apache-2.0
//
// The real binary on GGUF files that llama.cpp made, against digests of the converted and quantised
// results (testdata/gguf/README.md).
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"
#include "tensor_digests.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Digests = std::map<std::string, std::string>;

/// One expected file and the pre that it is asked of.
struct Case {
    fs::path folder;
    std::string name;  ///< "qk", "qk.norms", "qk.from-q8_0"…
    fs::path pre;
    std::vector<std::string> options{};
};

void PrintTo(const Case& entry, std::ostream* stream) {
    *stream << entry.folder.filename().string() << "." << entry.name << " from "
            << entry.pre.filename().string();
}

Json read_expectation(const Case& entry) {
    return Json::parse(read_file(entry.folder / "expected" / (entry.name + ".sha256.json")));
}

std::vector<Case> list_cases_of(const fs::path& folder) {
    std::vector<Case> cases;
    for (const auto& file : fs::directory_iterator(folder / "expected")) {
        const std::string name = file.path().stem().stem().string();
        const fs::path other = folder / "../llama-q4_k_m/pre_hf";
        if (name == "post") {
            continue;
        }
        if (name == "qk.from-q8_0") {
            cases.push_back({folder, name, folder / "pre-q8_0.gguf"});
        } else if (name == "qk.from-f16") {
            cases.push_back({folder, name, folder / "pre-f16.gguf"});
        } else if (name == "qk.from-hf.plain") {
            cases.push_back({folder, name, other});
        } else if (name == "qk.from-hf.with-imatrix") {
            cases.push_back(
                {folder, name, other, {"--imatrix", (folder / "imatrix.gguf").string()}});
        } else {
            cases.push_back({folder, name, folder / "pre.gguf"});
            if (fs::is_directory(folder / "pre_hf")) {
                cases.push_back({folder, name, folder / "pre_hf"});
            }
        }
    }
    return cases;
}

/// The repository's own cases first, then those of the shared collection that it has not.
std::vector<Case> list_cases() {
    std::vector<Case> cases;
    std::set<std::string> seen;
    for (const fs::path& root : {fs::path(ANAMNESIS_TESTDATA) / "gguf/surgery",
                                 fs::path(ANAMNESIS_SHARED) / "data/golden/surgery/gguf"}) {
        if (!fs::is_directory(root)) {
            continue;
        }
        for (const auto& folder : fs::directory_iterator(root)) {
            if (fs::is_directory(folder.path() / "expected") &&
                seen.insert(folder.path().filename().string()).second) {
                const auto own = list_cases_of(folder.path());
                cases.insert(cases.end(), own.begin(), own.end());
            }
        }
    }
    std::ranges::sort(cases, {}, [](const Case& entry) {
        return std::tuple(entry.folder.filename(), entry.name, entry.pre);
    });
    return cases;
}

Digests read_expected_digests(const Case& entry) {
    Digests digests;
    const auto add = [&](const Json& json) {
        const Json& tensors = json.find("tensors") != nullptr ? json.at("tensors") : json;
        for (const auto& [name, digest] : tensors.as_object("digests")) {
            digests[name] = digest.as_string("digest");
        }
    };
    const fs::path post = entry.folder / "expected/post.sha256.json";
    if (fs::exists(post)) {
        add(Json::parse(read_file(post)));
    }
    add(read_expectation(entry));
    return digests;
}

/// Every byte of the files of a checkpoint outside its tensors: headers, order, padding.
std::string read_frame(const fs::path& path) {
    const auto checkpoint = checkpoint::Checkpoint::open(path);
    std::string frame;
    for (const auto& file : checkpoint.files()) {
        std::string bytes = read_file(file.path());
        for (const auto& tensor : checkpoint.tensors()) {
            if (checkpoint.files()[tensor.file].path() == file.path()) {
                std::fill_n(
                    bytes.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.bytes, '\0');
            }
        }
        frame += bytes;
    }
    return frame;
}

class GgufSurgery : public ::testing::TestWithParam<Case> {
protected:
    CommandResult command(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), ANAMNESIS_BINARY);
        return run_command(arguments);
    }

    std::vector<std::string> options() const {
        const Json expected = read_expectation(GetParam());
        std::vector<std::string> words{"--method",
                                       GetParam().name.substr(0, GetParam().name.find('.'))};
        const auto has = [&](const std::string& part) {
            return GetParam().name.ends_with("." + part);
        };
        for (const std::string part : {"norms", "sliding", "mtp"}) {
            if (has(part)) {
                words.push_back("--include-" + part);
            }
        }
        if (has("no-bias")) {
            words.emplace_back("--no-bias");
        }
        words.insert(words.end(), GetParam().options.begin(), GetParam().options.end());
        return words;
    }

    std::vector<std::string> ask(const std::string& verb, const std::vector<std::string>& more) {
        std::vector<std::string> arguments{
            verb, "--pre", GetParam().pre.string(), "--post", post_.string()};
        const auto words = options();
        arguments.insert(arguments.end(), words.begin(), words.end());
        arguments.insert(arguments.end(), more.begin(), more.end());
        return arguments;
    }

    bool is_set() const { return fs::is_directory(post_); }

    TemporaryFolder folder_;
    fs::path post_ = fs::is_directory(GetParam().folder / "post") ? GetParam().folder / "post"
                                                                  : GetParam().folder / "post.gguf";
    fs::path out_ = folder_.path() / (fs::is_directory(post_) ? "out" : "out.gguf");
};

TEST_P(GgufSurgery, RestoresEveryTensorToItsExpectedDigest) {
    const auto restored = command(ask("restore", {"--out", out_.string()}));
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_EQ(tensor_digests(out_), read_expected_digests(GetParam()));
    EXPECT_EQ(read_frame(out_), read_frame(post_));
    const auto verified = command(ask("verify", {"--repaired", out_.string()}));
    EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
    const std::string changed =
        read_expectation(GetParam()).at("changed").as_array("changed").front().as_string("name");
    const auto checkpoint = checkpoint::Checkpoint::open(out_);
    const auto& tensor = checkpoint.at(changed);
    const fs::path file = checkpoint.files()[tensor.file].path();
    std::string bytes = read_file(file);
    bytes[tensor.offset] = static_cast<char>(bytes[tensor.offset] ^ 1);
    std::ofstream(file, std::ios::binary) << bytes;
    const auto refuted = command(ask("verify", {"--repaired", out_.string()}));
    EXPECT_EQ(refuted.exit_code, 1) << refuted.output;
    EXPECT_THAT(refuted.output, HasSubstr(changed));
}

TEST_P(GgufSurgery, RepairsInPlaceAndUndoesEveryByte) {
    const fs::path original = post_;
    post_ = folder_.path() / (is_set() ? "post" : "post.gguf");
    fs::copy(original, post_, fs::copy_options::recursive);
    const auto before = snapshot(folder_.path());
    const auto restored = command(ask("restore", {"--in-place"}));
    ASSERT_EQ(restored.exit_code, 0) << restored.errors;
    EXPECT_EQ(tensor_digests(post_), read_expected_digests(GetParam()));
    const auto undone = command({"undo", post_.string()});
    ASSERT_EQ(undone.exit_code, 0) << undone.errors;
    EXPECT_EQ(snapshot(folder_.path()), before);
}

TEST_P(GgufSurgery, AppliesItsPatchElsewhere) {
    const fs::path patch = folder_.path() / "repair.safetensors";
    const auto written = command(ask("restore", {"--patch", patch.string()}));
    ASSERT_EQ(written.exit_code, 0) << written.errors;
    const auto applied =
        command({"apply", patch.string(), "--to", post_.string(), "--out", out_.string()});
    ASSERT_EQ(applied.exit_code, 0) << applied.errors;
    EXPECT_EQ(tensor_digests(out_), read_expected_digests(GetParam()));
    EXPECT_EQ(read_frame(out_), read_frame(post_));
}

TEST_P(GgufSurgery, DriftAndDoctorReadThePair) {
    const auto drift =
        command({"drift", "--json", "--pre", GetParam().pre.string(), "--post", post_.string()});
    EXPECT_EQ(drift.exit_code, 0) << drift.errors;
    const auto doctor = command({"doctor", "--json", GetParam().pre.string(), post_.string()});
    EXPECT_EQ(doctor.exit_code, 0) << doctor.output << doctor.errors;
}

std::string make_test_name(const ::testing::TestParamInfo<Case>& info) {
    std::string name = info.param.folder.filename().string() + "_" + info.param.name + "_" +
                       info.param.pre.stem().string();
    std::ranges::replace_if(
        name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Cases, GgufSurgery, ::testing::ValuesIn(list_cases()), make_test_name);

}  // namespace
}  // namespace anamnesis::testing
