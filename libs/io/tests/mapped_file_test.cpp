// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/mapped_file.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

std::string to_text(const MappedFile& file) {
    std::string text;
    for (const std::byte byte : file.bytes()) {
        text += static_cast<char>(byte);
    }
    return text;
}

TEST(MappedFile, ShowsTheBytesOfTheFile) {
    const testing::TemporaryFolder folder;
    folder.write("a", "needle");
    MappedFile first = MappedFile::open(folder.path() / "a");
    const MappedFile second = std::move(first);
    EXPECT_EQ(to_text(second), "needle");
}

TEST(MappedFile, MapsAnEmptyFile) {
    const testing::TemporaryFolder folder;
    folder.write("empty", "");
    EXPECT_TRUE(to_text(MappedFile::open(folder.path() / "empty")).empty());
}

TEST(MappedFile, NamesAFileThatIsNotThere) {
    const testing::TemporaryFolder folder;
    try {
        MappedFile::open(folder.path() / "absent");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_NE(error.message().find("absent"), std::string::npos);
    }
}

}  // namespace
}  // namespace anamnesis::io
