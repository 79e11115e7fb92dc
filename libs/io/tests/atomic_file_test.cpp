// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/atomic_file.hpp"

#include <unistd.h>

#include <filesystem>
#include <span>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::snapshot;
using testing::TemporaryFolder;

void write(const AtomicFile& file, std::string_view text) {
    file.file().write_at(0, std::as_bytes(std::span(text)));
}

TEST(AtomicFile, ShowsNothingBeforeCommit) {
    const TemporaryFolder folder;
    const auto target = folder.path() / "target";
    AtomicFile file(target);
    write(file, "new");
    EXPECT_FALSE(std::filesystem::exists(target));
    file.commit();
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("target", "new")));
}

TEST(AtomicFile, LeavesTheOldFileUntilCommit) {
    const TemporaryFolder folder;
    const auto target = folder.write("target", "old");
    AtomicFile file(target);
    write(file, "new");
    EXPECT_EQ(testing::read_file(target), "old");
    file.commit();
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("target", "new")));
}

TEST(AtomicFile, IsRemovedWithoutCommit) {
    const TemporaryFolder folder;
    {
        const AtomicFile file(folder.path() / "target");
        write(file, "new");
    }
    EXPECT_THAT(snapshot(folder.path()), IsEmpty());
}

TEST(AtomicFile, KeepsThePermissionsOfTheFileItReplaces) {
    const TemporaryFolder folder;
    const auto target = folder.write("target", "old");
    constexpr auto mode = std::filesystem::perms::owner_read | std::filesystem::perms::owner_write;
    std::filesystem::permissions(target, mode);
    write_text_atomically(target, "new");
    EXPECT_EQ(std::filesystem::status(target).permissions(), mode);
}

TEST(AtomicFile, TakesThePlaceOfALeftoverOfItsOwnNumber) {
    const TemporaryFolder folder;
    folder.write(format(".target.partial-{}", ::getpid()), "a longer leftover");
    write_text_atomically(folder.path() / "target", "new");
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("target", "new")));
}

TEST(AtomicFile, LeavesNothingWhereTheRenameFails) {
    const TemporaryFolder folder;
    folder.write("target/inside", "text");
    EXPECT_THROW(write_text_atomically(folder.path() / "target", "new"), Error);
    EXPECT_THAT(snapshot(folder.path()), ElementsAre(Pair("target/inside", "text")));
}

TEST(AtomicFile, NeedsAFolder) {
    const TemporaryFolder folder;
    try {
        const AtomicFile file(folder.path() / "absent" / "target");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
    }
}

}  // namespace
}  // namespace anamnesis::io
