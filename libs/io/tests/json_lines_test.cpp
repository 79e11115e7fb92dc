// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/io/json_lines.hpp"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/io/run_settings.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

Json number(int value) {
    return Json::Object{{"n", value}};
}

TEST(JsonLines, AreReadBackInOrder) {
    const TemporaryFolder folder;
    const auto path = folder.path() / "lines.jsonl";
    {
        JsonLines lines = JsonLines::open(path);
        EXPECT_TRUE(lines.lines().empty());
        lines.append(number(1));
        lines.append(number(2));
    }
    JsonLines lines = JsonLines::open(path);
    ASSERT_EQ(lines.lines().size(), 2U);
    lines.append(number(3));
    EXPECT_EQ(read_text(path), "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    EXPECT_EQ(read_json_lines(path).size(), 3U);
}

TEST(JsonLines, CutOffALineThatWasNeverFinished) {
    const TemporaryFolder folder;
    const auto path = folder.write("lines.jsonl", "{\"n\":1}\n{\"n\":");
    JsonLines lines = JsonLines::open(path);
    ASSERT_EQ(lines.lines().size(), 1U);
    lines.append(number(2));
    EXPECT_EQ(read_text(path), "{\"n\":1}\n{\"n\":2}\n");
}

TEST(JsonLines, KeepTheFirst) {
    const TemporaryFolder folder;
    const auto path = folder.write("lines.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    JsonLines lines = JsonLines::open(path);
    lines.keep_first(1);
    lines.append(number(9));
    EXPECT_EQ(read_text(path), "{\"n\":1}\n{\"n\":9}\n");
    lines.keep_first(0);
    EXPECT_EQ(read_text(path), "");
}

TEST(JsonLines, NameALineThatIsNoJson) {
    const TemporaryFolder folder;
    const auto path = folder.write("lines.jsonl", "{\"n\":1}\nnonsense\n");
    try {
        JsonLines::open(path);
        FAIL() << "a line of nonsense was read";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("line 2"), HasSubstr("lines.jsonl")));
    }
}

TEST(RunSettings, NameTheFirstDifference) {
    const Json found = Json::Object{{"seed", 42}, {"lr", 0.5}};
    EXPECT_EQ(find_difference(found, found), std::nullopt);
    EXPECT_EQ(find_difference(found, Json::Object{{"seed", 43}, {"lr", 0.5}}),
              "seed was 42, now 43");
    EXPECT_EQ(find_difference(found, Json::Object{{"seed", 42}, {"lr", 0.5}, {"chat", true}}),
              "chat was not set, now true");
    EXPECT_EQ(find_difference(found, Json::Object{{"seed", 42}}), "lr was 0.5, now not set");
}

TEST(RunSettings, RefuseTheFolderOfAnotherRun) {
    const Json found = Json::Object{{"seed", 42}};
    EXPECT_NO_THROW(expect_same_run("out", found, found));
    try {
        expect_same_run("out", found, Json::Object{{"seed", 1}});
        FAIL() << "another run's folder was taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("'out'"), HasSubstr("seed was 42, now 1")));
    }
}

}  // namespace
}  // namespace anamnesis::io
