// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/checkpoint/side_files.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/finding.hpp"

#include "forged_checkpoint.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::forged_llama;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TemporaryFolder;
using ::testing::UnorderedElementsAre;

std::vector<std::string> list_files(const TemporaryFolder& folder) {
    std::vector<std::string> names;
    for (const SideFile& file : find_side_files(Checkpoint::open(folder.path())).files) {
        names.push_back(file.relative.string());
    }
    return names;
}

TEST(SideFiles, AreAllThatBelongsToTheModel) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    folder.write("LICENSE", "terms");
    folder.write("README.md", "# card");
    folder.write("code/modeling.py", "pass");
    folder.write("figure.png", "picture");
    EXPECT_THAT(
        list_files(folder),
        ElementsAre("LICENSE", "README.md", "code/modeling.py", "config.json", "figure.png"));
}

TEST(SideFiles, ThatAreNotThereAreTold) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    const std::string pointer =
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 77\n";
    for (const char* name : {"tokenizer.json", "modeling_own.py", "pytorch_model.bin"}) {
        folder.write(name, pointer);
    }
    folder.write("tokenizer_config.json", "<!DOCTYPE html><title>login</title>");
    folder.write("results.html", "<!DOCTYPE html><title>results</title>");
    folder.write("empty.txt", "");
    for (const char* name : {"chat_template.jinja", "flax_model.msgpack", ".#README.md"}) {
        fs::create_symlink("/nowhere/at/all", folder.path() / name);
    }
    fs::create_symlink("empty.txt", folder.path() / "linked.txt");
    const std::vector<Finding> findings = Checkpoint::open(folder.path()).findings();
    const auto examples_of = [&](const std::string& code) {
        const auto found = std::ranges::find(findings, code, &Finding::code);
        return found == findings.end() ? std::vector<std::string>() : found->examples;
    };
    EXPECT_THAT(examples_of("side_files_not_fetched"),
                ElementsAre("modeling_own.py", "tokenizer.json", "tokenizer_config.json"));
    EXPECT_THAT(examples_of("dangling_links"), ElementsAre("chat_template.jinja"));
}

TEST(SideFiles, LeaveOutWhatSpeaksOfOtherWeights) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    for (const char* name : {"anamnesis.json",
                             "anamnesis.undo",
                             "model.safetensors.anamnesis.json",
                             "model.safetensors.anamnesis.undo",
                             "run.json",
                             "metrics.jsonl",
                             "training.json",
                             "events.out.tfevents.1.host",
                             "resume/step-3.json",
                             "initial/config.json",
                             ".git/HEAD",
                             "checkpoint-500/trainer_state.json"}) {
        folder.write(name, "{}");
    }
    folder.write("optimizer.pt", "state");
    EXPECT_THAT(list_files(folder), ElementsAre("config.json"));
    EXPECT_THAT(find_side_files(Checkpoint::open(folder.path())).notes,
                UnorderedElementsAre(HasSubstr(".git"),
                                     HasSubstr("checkpoint-500"),
                                     HasSubstr("initial"),
                                     HasSubstr("resume"),
                                     HasSubstr("optimizer.pt")));
}

/// Such a folder is a training run's only beside its settings.
TEST(SideFiles, KeepFoldersThatATrainingRunWouldHaveNamedSo) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    folder.write("evaluation/table.md", "| |");
    EXPECT_THAT(list_files(folder), ElementsAre("config.json", "evaluation/table.md"));
}

TEST(SideFiles, OfASingleFileAreItsConfig) {
    const TemporaryFolder folder;
    forged_llama().write(folder);
    folder.write("notes.txt", "other things of the folder");
    const auto checkpoint = Checkpoint::open(folder.path() / "model.safetensors");
    const SideFiles side = find_side_files(checkpoint);
    ASSERT_EQ(side.files.size(), 1U);
    EXPECT_EQ(side.files.front().relative, fs::path("config.json"));
    EXPECT_THAT(side.notes, IsEmpty());
}

}  // namespace
}  // namespace anamnesis::checkpoint
