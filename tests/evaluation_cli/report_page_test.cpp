// SPDX-License-Identifier: Apache-2.0
//
// The page as a person sees it: headless Chromium prints it, and what is on the paper is read.
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/io/file.hpp"

#include "needle_model.hpp"
#include "openai_server.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string chromium = "/usr/bin/chromium";
const std::string pdftotext = "/usr/bin/pdftotext";

class ReportPage : public ::testing::Test {
protected:
    void SetUp() override {
        if (::access(chromium.c_str(), X_OK) != 0 || ::access(pdftotext.c_str(), X_OK) != 0) {
            GTEST_SKIP() << "needs chromium and poppler-utils: tools/bootstrap.sh --browser";
        }
        for (const auto& [name, memory] :
             std::vector<std::pair<std::string, std::size_t>>{{"pre", 1U << 30U}, {"post", 2000}}) {
            auto model = needle_model(memory);
            const OpenAiServer server(model);
            const CommandResult result =
                run_command({ANAMNESIS_BINARY,
                             "niah",
                             "--endpoint",
                             server.url(),
                             "--transport",
                             "text",
                             "--tokenizer",
                             std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2",
                             "--model",
                             name + "=tiny",
                             "--tasks",
                             "s1,s2",
                             "--lengths",
                             "3k,6k",
                             "--samples",
                             "4",
                             "--out",
                             (folder_.path() / "r").string()});
            ASSERT_EQ(result.exit_code, 0) << result.errors;
        }
    }

    CommandResult browse(std::vector<std::string> options) const {
        std::vector<std::string> words{chromium,
                                       "--headless=new",
                                       "--no-sandbox",
                                       "--disable-gpu",
                                       "--user-data-dir=" + (folder_.path() / "profile").string()};
        words.insert(words.end(), options.begin(), options.end());
        words.push_back("file://" + (folder_.path() / "r/report.html").string());
        return run_command(words);
    }

    TemporaryFolder folder_;
};

TEST_F(ReportPage, ShowsItsKeyFiguresWithoutAScript) {
    const std::string pdf = (folder_.path() / "page.pdf").string();
    browse({"--no-pdf-header-footer", "--print-to-pdf=" + pdf});
    ASSERT_TRUE(fs::exists(pdf));
    const CommandResult text = run_command({pdftotext, "-layout", pdf, "-"});
    ASSERT_EQ(text.exit_code, 0) << text.errors;
    EXPECT_THAT(text.output,
                AllOf(HasSubstr("Recall: needles in haystacks"),
                      HasSubstr("100.0 %"),
                      HasSubstr("pre, mean of 2 tasks at 6K"),
                      HasSubstr("post minus pre"),
                      HasSubstr("length in tokens"),
                      HasSubstr("niah_single_2"),
                      HasSubstr("McNemar")));
    EXPECT_THAT(text.output, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("&lt;"))));
}

TEST_F(ReportPage, IsDrawnInLightAndInDark) {
    std::vector<std::string> pictures;
    for (const char* scheme : {"1", "0"}) {
        const std::string png = (folder_.path() / (std::string(scheme) + ".png")).string();
        browse({"--hide-scrollbars",
                "--window-size=1000,2400",
                std::string("--blink-settings=preferredColorScheme=") + scheme,
                "--screenshot=" + png});
        ASSERT_TRUE(fs::exists(png)) << png;
        pictures.push_back(io::read_text(png));
        EXPECT_GT(pictures.back().size(), 20'000U) << "an empty page compresses to less";
    }
    EXPECT_NE(pictures[0], pictures[1]);
}

}  // namespace
}  // namespace anamnesis::testing
