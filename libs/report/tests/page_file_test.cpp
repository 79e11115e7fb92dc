// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/report/document.hpp"

#include "folder_snapshot.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::report {
namespace {

using ::testing::HasSubstr;
using testing::read_file;
using ::testing::StartsWith;
using testing::TemporaryFolder;

Document make_document(const std::string& title) {
    return {.title = title, .subtitle = {}, .blocks = {}};
}

TEST(PageFile, ReplacesAnEarlierPage) {
    const TemporaryFolder folder;
    const std::filesystem::path page = folder.path() / "page.html";
    for (const char* title : {"one", "two"}) {
        EXPECT_NO_THROW(check_page_target(page));
        write_page(page, make_document(title));
        EXPECT_THAT(read_file(page), HasSubstr(title));
    }
    for (const char* text : {"", "\n  <HTML><body>"}) {
        write_page(folder.write("other.html", text), make_document("new"));
        EXPECT_THAT(read_file(folder.path() / "other.html"), StartsWith("<!DOCTYPE html>"));
    }
    EXPECT_NO_THROW(check_page_target({}));
}

TEST(PageFile, ReplacesNothingElse) {
    const TemporaryFolder folder;
    const auto expect_refused = [](const std::filesystem::path& target) {
        try {
            write_page(target, make_document("new"));
            ADD_FAILURE() << target << " was replaced";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.message(), HasSubstr("is no page"));
        }
    };
    for (const char* text : {"{\"a\": 1}", "h", "<svg></svg>"}) {
        const std::filesystem::path file = folder.write("config.json", text);
        expect_refused(file);
        EXPECT_EQ(read_file(file), text);
    }
    expect_refused(folder.path());
}

}  // namespace
}  // namespace anamnesis::report
