// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

using ::testing::HasSubstr;
using testing::read_file;
using testing::TemporaryFolder;

std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string random_text(std::size_t size) {
    Random random(size);
    std::string text(size, '\0');
    for (char& c : text) {
        c = static_cast<char>(random.next());
    }
    return text;
}

template <class Body>
ErrorKind kind_of_failure(const std::string& fact, const Body& body) {
    try {
        body();
    } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr(fact));
        return error.kind();
    }
    ADD_FAILURE() << "nothing was refused";
    return ErrorKind::internal;
}

TEST(File, NamesAPathThatIsNotThere) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "absent";
    EXPECT_EQ(kind_of_failure("absent", [&] { File::open_for_reading(path); }),
              ErrorKind::not_found);
    EXPECT_EQ(kind_of_failure("absent", [&] { File::open_for_update(path); }),
              ErrorKind::not_found);
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(File, DoesNotCreateOverAFile) {
    const TemporaryFolder folder;
    const auto path = folder.write("there", "text");
    EXPECT_EQ(kind_of_failure("there", [&] { File::create(path); }), ErrorKind::io);
    EXPECT_EQ(read_file(path), "text");
}

/// Opening one waits for another process, which would be for ever.
TEST(File, RefusesAPipeAtOnce) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "pipe";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(kind_of_failure("no regular file", [&] { File::open_for_reading(path); }),
              ErrorKind::usage);
    EXPECT_EQ(kind_of_failure("no regular file", [&] { File::open_for_update(path); }),
              ErrorKind::usage);
    EXPECT_EQ(kind_of_failure("no regular file", [&] { read_text(path); }), ErrorKind::usage);
}

TEST(File, RefusesToReadAFolder) {
    const TemporaryFolder folder;
    EXPECT_EQ(kind_of_failure("no regular file", [&] { File::open_for_reading(folder.path()); }),
              ErrorKind::usage);
}

TEST(File, ReadsAndWritesAtOffsets) {
    const TemporaryFolder folder;
    const File file = File::create(folder.path() / "file");
    file.write_at(4, as_bytes("efgh"));
    file.write_at(0, as_bytes("abcd"));
    EXPECT_EQ(file.size(), 8U);
    std::string text(4, '\0');
    file.read_at(2, std::as_writable_bytes(std::span(text)));
    EXPECT_EQ(text, "cdef");
    file.sync();
    EXPECT_EQ(read_file(file.path()), "abcdefgh");
}

TEST(File, RefusesToReadPastItsEnd) {
    const TemporaryFolder folder;
    const File file = File::open_for_reading(folder.write("short", "12345"));
    std::string text(4, '\0');
    const auto target = std::as_writable_bytes(std::span(text));
    EXPECT_EQ(kind_of_failure("ends at byte 5, 2 more", [&] { file.read_at(3, target); }),
              ErrorKind::malformed);
    EXPECT_EQ(kind_of_failure("short", [&] { file.read_at(100, target); }), ErrorKind::malformed);
    file.read_at(5, {});
}

TEST(File, OpensForUpdateWithoutChangingTheLength) {
    const TemporaryFolder folder;
    const auto path = folder.write("file", "12345");
    File::open_for_update(path).write_at(1, as_bytes("x"));
    EXPECT_EQ(read_file(path), "1x345");
}

TEST(File, GrowsWithZerosAndShrinks) {
    const TemporaryFolder folder;
    const File file = File::open_for_update(folder.write("file", "ab"));
    file.resize(4);
    EXPECT_EQ(read_file(file.path()), std::string_view("ab\0\0", 4));
    file.resize(1);
    EXPECT_EQ(read_file(file.path()), "a");
}

TEST(File, ReservesSpaceWithoutChangingTheLength) {
    const TemporaryFolder folder;
    const File file = File::create(folder.path() / "file");
    file.reserve(1U << 20U);
    file.reserve(0);
    EXPECT_EQ(file.size(), 0U);
}

TEST(File, ClosesOnceAndMovesItsDescriptor) {
    const TemporaryFolder folder;
    File file = File::create(folder.path() / "file");
    const int descriptor = file.descriptor();
    File moved = std::move(file);
    EXPECT_EQ(moved.descriptor(), descriptor);
    moved.close();
    EXPECT_EQ(moved.descriptor(), -1);
    moved.close();
    EXPECT_EQ(kind_of_failure("file", [&] { moved.sync(); }), ErrorKind::io);
}

TEST(CopyRange, CopiesAtOffsetsAcrossMoreThanOneBlock) {
    const TemporaryFolder folder;
    const std::string text = random_text((3U << 20U) + 4321);
    const File source = File::open_for_reading(folder.write("source", text));
    const File target = File::create(folder.path() / "target");
    const std::uint64_t size = text.size() - 1000;
    copy_range(source, 777, target, 4099, size);
    EXPECT_EQ(target.size(), 4099 + size);
    EXPECT_TRUE(read_file(target.path()) == std::string(4099, '\0') + text.substr(777, size));
}

TEST(CopyRange, LeavesTheRestOfTheTargetAlone) {
    const TemporaryFolder folder;
    const File source = File::open_for_reading(folder.write("source", "abcdef"));
    const File target = File::open_for_update(folder.write("target", "123456"));
    copy_range(source, 1, target, 2, 3);
    copy_range(source, 0, target, 0, 0);
    EXPECT_EQ(read_file(target.path()), "12bcd6");
}

TEST(CopyRange, CopiesToAnotherFileSystem) {
    const std::filesystem::path memory = "/dev/shm";
    if (::access(memory.c_str(), W_OK) != 0) {
        GTEST_SKIP() << "/dev/shm does not exist";
    }
    const TemporaryFolder folder;
    const std::string text = random_text((2U << 20U) + 17);
    const File source = File::open_for_reading(folder.write("source", text));
    const auto path = memory / format("anamnesis-copy-range-{}", ::getpid());
    const File target = File::create(path);
    std::filesystem::remove(path);
    copy_range(source, 5, target, 9, text.size() - 5);
    std::string copied(text.size() - 5, '\0');
    target.read_at(9, std::as_writable_bytes(std::span(copied)));
    EXPECT_TRUE(copied == text.substr(5));
}

TEST(CopyRange, RefusesToReadPastTheEndOfTheSource) {
    const TemporaryFolder folder;
    const File source = File::open_for_reading(folder.write("source", "abc"));
    const File target = File::create(folder.path() / "target");
    EXPECT_EQ(kind_of_failure("source", [&] { copy_range(source, 1, target, 0, 3); }),
              ErrorKind::malformed);
}

TEST(TryReflink, SharesTheBytesOrLeavesNothing) {
    const TemporaryFolder folder;
    const auto source = folder.write("source", "abc");
    const auto target = folder.path() / "target";
    if (try_reflink(source, target)) {
        EXPECT_EQ(read_file(target), "abc");
    } else {
        EXPECT_FALSE(std::filesystem::exists(target));
    }
}

TEST(SyncFolder, NamesAFolderThatIsNotThere) {
    const TemporaryFolder folder;
    sync_folder(folder.path());
    EXPECT_EQ(kind_of_failure("absent", [&] { sync_folder(folder.path() / "absent"); }),
              ErrorKind::not_found);
}

TEST(FreeBytes, AreKnownForAFolderThatIsThere) {
    const TemporaryFolder folder;
    EXPECT_GT(free_bytes(folder.path()), 0U);
    EXPECT_EQ(kind_of_failure("absent", [&] { free_bytes(folder.path() / "absent"); }),
              ErrorKind::not_found);
}

TEST(ReadText, ReadsTheWholeFileUpToTheLimit) {
    const TemporaryFolder folder;
    const auto path = folder.write("text", std::string_view("a\0b\n", 4));
    EXPECT_EQ(read_text(path), std::string_view("a\0b\n", 4));
    EXPECT_EQ(read_text(path, 4).size(), 4U);
    EXPECT_EQ(kind_of_failure("4 bytes, at most 3", [&] { read_text(path, 3); }),
              ErrorKind::malformed);
    EXPECT_EQ(read_text(folder.write("empty", "")), "");
}

}  // namespace
}  // namespace anamnesis::io
