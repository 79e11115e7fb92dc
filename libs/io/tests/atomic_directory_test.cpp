// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/atomic_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

#include "folder_snapshot.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

namespace fs = std::filesystem;

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::snapshot;
using testing::TemporaryFolder;

void put(const AtomicDirectory& directory, const std::string& name) {
    std::ofstream(directory.path() / name) << "text";
}

void refuses(const fs::path& target) {
    try {
        const AtomicDirectory directory(target);
        ADD_FAILURE() << target << " was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), HasSubstr(target.filename().string()));
    }
}

TEST(AtomicDirectory, LeavesNoFolderAboveATargetThatDoesNotCome) {
    const TemporaryFolder folder;
    {
        const AtomicDirectory output(folder.path() / "a" / "b" / "target");
        EXPECT_TRUE(std::filesystem::exists(folder.path() / "a" / "b"));
    }
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "a"));
    std::filesystem::create_directory(folder.path() / "mine");
    {
        const AtomicDirectory output(folder.path() / "mine" / "target");
    }
    EXPECT_TRUE(std::filesystem::exists(folder.path() / "mine"));
    AtomicDirectory whole(folder.path() / "a" / "b" / "target");
    whole.commit();
    EXPECT_TRUE(std::filesystem::is_directory(folder.path() / "a" / "b" / "target"));
}

TEST(AtomicDirectory, ShowsNothingBeforeCommit) {
    const TemporaryFolder folder;
    AtomicDirectory directory(folder.path() / "out");
    put(directory, "file");
    EXPECT_FALSE(fs::exists(directory.target()));
    directory.commit();
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("out/file", "text")));
}

TEST(AtomicDirectory, IsRemovedWithoutCommit) {
    const TemporaryFolder folder;
    {
        const AtomicDirectory directory(folder.path() / "out");
        put(directory, "file");
    }
    EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(AtomicDirectory, StaysAfterCommit) {
    const TemporaryFolder folder;
    {
        AtomicDirectory directory(folder.path() / "out");
        put(directory, "file");
        directory.commit();
    }
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("out/file", "text")));
}

TEST(AtomicDirectory, TakesThePlaceOfAnEmptyFolder) {
    const TemporaryFolder folder;
    fs::create_directory(folder.path() / "out");
    AtomicDirectory directory(folder.path() / "out");
    put(directory, "file");
    EXPECT_TRUE(fs::is_empty(folder.path() / "out"));
    directory.commit();
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("out/file", "text")));
}

TEST(AtomicDirectory, RefusesATargetThatHoldsAnything) {
    const TemporaryFolder folder;
    folder.write("out/old", "text");
    refuses(folder.path() / "out");
    refuses(folder.path() / "out" / "old");
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("out/old", "text")));
}

TEST(AtomicDirectory, RefusesALinkWhereverItLeads) {
    const TemporaryFolder folder;
    fs::create_directory(folder.path() / "empty");
    fs::create_directory_symlink(folder.path() / "empty", folder.path() / "link");
    fs::create_directory_symlink(folder.path() / "absent", folder.path() / "dangling");
    refuses(folder.path() / "link");
    refuses(folder.path() / "dangling");
}

TEST(AtomicDirectory, LosesToWhatAppearedMeanwhile) {
    const TemporaryFolder folder;
    {
        AtomicDirectory directory(folder.path() / "out");
        put(directory, "file");
        folder.write("out/other", "text");
        try {
            directory.commit();
            FAIL();
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_NE(error.message().find("another run"), std::string::npos) << error.message();
        }
    }
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("out/other", "text")));
}

TEST(AtomicDirectory, MakesTheFoldersAboveAndIgnoresATrailingSlash) {
    const TemporaryFolder folder;
    AtomicDirectory directory(folder.path() / "a" / "b" / "out" / "");
    EXPECT_EQ(directory.target(), folder.path() / "a" / "b" / "out");
    put(directory, "file");
    directory.commit();
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("a/b/out/file", "text")));
}

TEST(AtomicDirectory, RemovesWhatADeadProcessLeft) {
    const TemporaryFolder folder;
    folder.write(".out.partial-1/half", "text");
    const AtomicDirectory directory(folder.path() / "out");
    EXPECT_THAT(snapshot(folder.path()), IsEmpty());
}

TEST(AtomicDirectory, KeepsWhatALivingProcessHasLocked) {
    const TemporaryFolder folder;
    folder.write(".out.partial-1/half", "text");
    const int lock =
        ::open((folder.path() / ".out.partial-1").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(lock, 0);
    ASSERT_EQ(::flock(lock, LOCK_EX | LOCK_NB), 0);
    {
        const AtomicDirectory directory(folder.path() / "out");
        EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair(".out.partial-1/half", "text")));
    }
    ::close(lock);
}

TEST(AtomicDirectory, KeepsThePartialFoldersOfOtherTargets) {
    const TemporaryFolder folder;
    folder.write(".other.partial-1/half", "text");
    folder.write("out.partial-1/half", "text");
    const AtomicDirectory directory(folder.path() / "out");
    EXPECT_EQ(snapshot(folder.path()).size(), 2U);
}

TEST(AtomicDirectory, IsLockedWhileItIsFilled) {
    const TemporaryFolder folder;
    const AtomicDirectory directory(folder.path() / "out");
    const int other = ::open(directory.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(other, 0);
    EXPECT_NE(::flock(other, LOCK_EX | LOCK_NB), 0);
    ::close(other);
}

TEST(AtomicDirectory, LeavesTheFirstOfTwoForOneTargetAlone) {
    const TemporaryFolder folder;
    AtomicDirectory first(folder.path() / "out");
    put(first, "file");
    EXPECT_THROW(AtomicDirectory(folder.path() / "out"), Error);
    first.commit();
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("out/file", "text")));
}

}  // namespace
}  // namespace anamnesis::io
