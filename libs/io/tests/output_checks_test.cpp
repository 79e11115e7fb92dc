// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/output_checks.hpp"

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

namespace fs = std::filesystem;

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

void expect_refused(const fs::path& target, const std::vector<fs::path>& inputs) {
    try {
        refuse_to_replace_input("--out", target, inputs);
        ADD_FAILURE() << target << " was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(),
                    AllOf(HasSubstr("--out"), HasSubstr(target.filename().string())));
    }
}

class Replacing : public ::testing::Test {
protected:
    TemporaryFolder folder_;
    fs::path model_ = folder_.path() / "model";
    fs::path weights_ = folder_.write("model/model.safetensors", "weights");
    fs::path ids_ = folder_.write("ids.safetensors", "ids");
};

TEST_F(Replacing, IsRefusedForAnInputUnderAnyName) {
    expect_refused(ids_, {model_, ids_});
    expect_refused(model_ / ".." / "ids.safetensors", {ids_});
    fs::create_hard_link(ids_, folder_.path() / "hard");
    fs::create_symlink(ids_, folder_.path() / "soft");
    expect_refused(folder_.path() / "hard", {ids_});
    expect_refused(folder_.path() / "soft", {ids_});
    expect_refused(ids_, {folder_.path() / "soft"});
}

TEST_F(Replacing, IsRefusedForAFileOfAFolder) {
    folder_.write("model/below/config.json", "{}");
    fs::create_directory_symlink(model_, folder_.path() / "link");
    for (const fs::path& input : {model_, folder_.path() / "link", fs::path(model_ / "")}) {
        expect_refused(weights_, {input});
        expect_refused(model_ / "below" / "config.json", {input});
        expect_refused(folder_.path() / "link" / "model.safetensors", {input});
        expect_refused(model_ / ".." / "model" / "model.safetensors", {input});
    }
}

TEST_F(Replacing, IsRefusedForFilesThatTheNamesOfAFolderLeadTo) {
    const fs::path blob = folder_.write("blobs/1a2b", "weights");
    fs::create_directory(folder_.path() / "snapshot");
    const fs::path name = folder_.path() / "snapshot" / "model.safetensors";
    fs::create_symlink(blob, name);
    expect_refused(blob, {folder_.path() / "snapshot"});
    expect_refused(name, {folder_.path() / "snapshot"});
}

TEST_F(Replacing, IsRefusedForTheOtherFilesOfASet) {
    const fs::path first = folder_.write("m-00001-of-00002.gguf", "");
    const fs::path second = folder_.write("m-00002-of-00002.gguf", "");
    expect_refused(second, {first});
}

TEST_F(Replacing, IsAllowedElsewhereAndForWhatIsNotThere) {
    const fs::path earlier = folder_.write("out.safetensors", "an earlier result");
    const fs::path sibling = folder_.write("model2/out.safetensors", "its name begins the same");
    EXPECT_NO_THROW(refuse_to_replace_input("--out", earlier, {model_, ids_, "", "-", "absent"}));
    EXPECT_NO_THROW(refuse_to_replace_input("--out", sibling, {model_}));
    EXPECT_NO_THROW(refuse_to_replace_input("--out", model_ / "new.safetensors", {model_}));
    const fs::path results = folder_.write("results-1-of-4.jsonl", "");
    const fs::path graded = folder_.write("graded-1-of-4.jsonl", "");
    EXPECT_NO_THROW(refuse_to_replace_input("--out", graded, {results}));
    const fs::path other = folder_.write("other-00002-of-00002.gguf", "");
    EXPECT_NO_THROW(
        refuse_to_replace_input("--out", other, {folder_.write("m-00001-of-00002.gguf", "")}));
}

TEST(CheckpointFolders, AreNotForResults) {
    const TemporaryFolder folder;
    for (const char* name :
         {"config.json", "adapter_config.json", "model-00001-of-00002.safetensors", "m.gguf"}) {
        const fs::path file = folder.write(fs::path(name).stem() / name, "");
        try {
            refuse_checkpoint_folder(file.parent_path());
            ADD_FAILURE() << name << " was accepted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.message(), HasSubstr(name));
        }
    }
    folder.write("results/results.jsonl", "");
    EXPECT_NO_THROW(refuse_checkpoint_folder(folder.path() / "results"));
    EXPECT_NO_THROW(refuse_checkpoint_folder(folder.path() / "absent"));
}

TEST(FoldersOfACommand, AreNewOrEmpty) {
    const TemporaryFolder folder;
    EXPECT_NO_THROW(require_new_folder(folder.path(), "anamnesis demo"));
    EXPECT_NO_THROW(require_new_folder(folder.path() / "absent", "anamnesis demo"));
    folder.write(".pre.partial-7/model.safetensors", "");
    EXPECT_NO_THROW(require_new_folder(folder.path(), "anamnesis demo"));
    folder.write("results/report.html", "");
    try {
        require_new_folder(folder.path() / "results", "anamnesis demo");
        ADD_FAILURE() << "a folder with a report was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("report.html"));
        EXPECT_THAT(error.message(), HasSubstr("anamnesis demo"));
    }
}

}  // namespace
}  // namespace anamnesis::io
