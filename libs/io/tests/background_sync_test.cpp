// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/background_sync.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/io/file.hpp"

#include "folder_snapshot.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

using testing::read_file;
using testing::TemporaryFolder;

void append(const File& file, const std::string& text, int times) {
    for (int i = 0; i < times; ++i) {
        file.write_at(text.size() * static_cast<std::size_t>(i), std::as_bytes(std::span(text)));
    }
}

TEST(BackgroundSync, LeavesFilesAsTheyWereFilled) {
    const TemporaryFolder folder;
    const File first = File::create(folder.path() / "first");
    const File second = File::create(folder.path() / "second");
    const std::string text(100'000, 'a');
    BackgroundSync sync({&first, &second});
    append(first, text, 50);
    append(second, text, 20);
    sync.begin_sync();
    sync.finish();
    EXPECT_EQ(read_file(folder.path() / "first"), std::string(5'000'000, 'a'));
    EXPECT_EQ(read_file(folder.path() / "second"), std::string(2'000'000, 'a'));
}

TEST(BackgroundSync, TellsOfAFileThatCannotBeSynced) {
    const TemporaryFolder folder;
    File file = File::create(folder.path() / "closed");
    file.close();
    BackgroundSync sync({&file});
    EXPECT_THROW(sync.finish(), Error);
}

TEST(BackgroundSync, EndsWithoutAnyFileAndWithoutFinishing) {
    const TemporaryFolder folder;
    const File file = File::create(folder.path() / "file");
    {
        const BackgroundSync abandoned({&file});
    }
    append(file, "still open", 1);
    EXPECT_EQ(read_file(folder.path() / "file"), "still open");
    BackgroundSync none(std::vector<const File*>{});
    none.finish();
}

}  // namespace
}  // namespace anamnesis::io
