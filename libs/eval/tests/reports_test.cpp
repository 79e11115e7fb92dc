// SPDX-License-Identifier: Apache-2.0
//
// What reports say of runs beyond their scores: second answers, gaps, joined runs, single
// checkpoints.
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/report_files.hpp"
#include "anamnesis/io/file.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Reports : public ::testing::Test {
protected:
    /// A run of `niah` on one task at 1K with three samples planned.
    void write_run(const std::string& folder,
                   const std::string& lines,
                   int seed = 42,
                   int length = 1024) {
        std::filesystem::create_directory(folder_.path() / folder);
        folder_.write(folder + "/run.json",
                      format(R"({{"settings": {{"kind": "niah", "tasks": ["niah_single_1"], )"
                             R"("lengths": [{}], "samples": 3, "depths": 0, "seed": {}}}, )"
                             R"("checkpoints": {{"m": {{"back_end": "endpoint", "transport": )"
                             R"("text"}}}}}})",
                             length,
                             seed));
        folder_.write(folder + "/results.jsonl", lines);
    }
    static std::string line(const std::string& id,
                            double score,
                            const std::string& text,
                            const std::string& more = "") {
        return format(
            R"({{"checkpoint": "m", "id": "{}", "task": "niah_single_1", "length": 1024, )"
            R"("score": {:.1f}, "first_exact": false, "wrong_needle": false, "empty": )"
            R"(false, "degenerate": false, "truncated": false, "unfinished": false, )"
            R"("prompt_tokens": {}, "text": "{}", "references": "7", "question": "q"{}}})"
            "\n",
            id,
            score,
            280 + 10 * id.size(),
            text,
            more);
    }
    /// Lines at 1K as lines at 4K.
    static std::string lengthen(std::string lines) {
        for (std::size_t at = 0; (at = lines.find(": 1024,", at)) != std::string::npos; ++at) {
            lines.replace(at, 7, ": 4096,");
        }
        return lines;
    }
    EvaluationReport report(const std::vector<std::string>& folders) {
        ReportJob job;
        for (const std::string& folder : folders) {
            job.folders.push_back(folder_.path() / folder);
        }
        if (folders.size() > 1) {
            job.out = folder_.path() / "joint";
        }
        return write_reports(job);
    }
    std::string page(const std::string& folder) const {
        return io::read_text(folder_.path() / folder / "report.html");
    }

    testing::TemporaryFolder folder_;
};

TEST_F(Reports, NameCheckpointsThatAreThere) {
    write_run("r", line("a", 1.0, "7"));
    for (const auto& [pre, post] :
         {std::pair("other", ""), std::pair("", "other"), std::pair("m", "m")}) {
        ReportJob job{.folders = {folder_.path() / "r"}};
        job.pre = pre;
        job.post = post;
        EXPECT_THROW(write_reports(job), Error) << pre << post;
    }
    EXPECT_NO_THROW(write_reports({.folders = {folder_.path() / "r"}, .pre = "m"}));
}

TEST_F(Reports, CountAnswersThatDifferWhenTheyAreAskedTwice) {
    write_run("r",
              line("a", 1.0, "7 8", R"(, "tokens": ["7", " 8"])") +
                  line("b", 1.0, "7", R"(, "tokens": ["7"])") +
                  line("c", 0.0, "9", R"(, "tokens": ["9"])") +
                  line("a/again", 0.0, "7 9", R"(, "tokens": ["7", " 9"], "again": true)") +
                  line("b/again", 1.0, "7", R"(, "tokens": ["7"], "again": true)"));
    const EvaluationReport made = report({"r"});
    const Json repeats = Json::parse(made.json).at("repeats");
    const Json& figures = repeats.as_array("repeats").front();
    EXPECT_EQ(figures.at("pairs").as_unsigned("pairs"), 2U);
    EXPECT_EQ(figures.at("differing").as_unsigned("differing"), 1U);
    const Json& first = figures.at("first_divergence");
    EXPECT_EQ(first.at("token").as_unsigned("token"), 1U);
    EXPECT_EQ(first.at("first").as_string("first"), " 8");
    EXPECT_EQ(first.at("second").as_string("second"), " 9");
    EXPECT_THAT(made.text,
                HasSubstr("m: 1 of 2 answers differ when asked twice; the earliest in a"));
    EXPECT_THAT(page("r"), HasSubstr("The same questions asked twice"));
    // Second answers are no samples.
    EXPECT_EQ(Json::parse(made.json).at("cells").as_array("cells").front().at("count").as_unsigned(
                  "count"),
              3U);
}

TEST_F(Reports, SayWhatWasNotAskedAndHowLongPromptsReallyAre) {
    write_run("r", line("a", 1.0, "7") + line("bbbb", 0.0, "wrong one"));
    const EvaluationReport made = report({"r"});
    EXPECT_THAT(made.text,
                AllOf(HasSubstr("not asked of m: 1 of 3 questions of niah_single_1 at 1K"),
                      HasSubstr("290 to 320")));
    EXPECT_EQ(Json::parse(made.json).at("gaps").as_array("gaps").size(), 1U);
    EXPECT_THAT(page("r"),
                AllOf(HasSubstr("What was not asked"),
                      HasSubstr("niah_multikey_1"),
                      HasSubstr("1 wrong answers"),
                      HasSubstr("wrong one"),
                      HasSubstr("m: transport")));
}

TEST_F(Reports, SayNothingOfGapsWhereAllWasAsked) {
    write_run("r", line("a", 1.0, "7") + line("b", 1.0, "7") + line("c", 1.0, "7"));
    EXPECT_THAT(report({"r"}).text, Not(HasSubstr("not asked")));
    EXPECT_EQ(Json::parse(report({"r"}).json).find("gaps"), nullptr);
}

TEST_F(Reports, JoinTwoRunsOfOneKind) {
    const std::string right = line("a", 1.0, "7") + line("b", 1.0, "7") + line("c", 1.0, "7");
    const std::string wrong = line("a", 0.0, "8") + line("b", 1.0, "7") + line("c", 0.0, "8");
    write_run("first", right);
    write_run("second", wrong);
    const Json same = Json::parse(report({"first", "second"}).json);
    ASSERT_EQ(same.at("cells").as_array("cells").size(), 2U);
    // The same questions: the two are held against each other.
    const auto& comparison = same.at("comparisons").as_array("comparisons").front();
    EXPECT_EQ(comparison.at("only_first").as_unsigned("only_first"), 2U);
    EXPECT_THAT(comparison.at("second").as_string("second"), HasSubstr("m ("));
    // Other prompts: they are not.
    write_run("other", wrong, 43);
    const Json different = Json::parse(report({"first", "other"}).json);
    EXPECT_EQ(different.at("cells").as_array("cells").size(), 2U);
    EXPECT_TRUE(different.at("comparisons").as_array("comparisons").empty());
    EXPECT_THROW(report({"first", "first"}), Error);
}

TEST_F(Reports, HoldEachFolderAgainstItsOwnPlan) {
    const std::string whole = line("a", 1.0, "7") + line("b", 1.0, "7") + line("c", 1.0, "7");
    write_run("short", whole);
    write_run("long", lengthen(whole), 42, 4096);
    EXPECT_THAT(report({"short", "long"}).text, Not(HasSubstr("not asked")));
    write_run("part", lengthen(line("a", 1.0, "7")), 42, 4096);
    const EvaluationReport made = report({"short", "part"});
    EXPECT_EQ(Json::parse(made.json).at("gaps").as_array("gaps").size(), 1U);
    EXPECT_THAT(made.text, HasSubstr("2 of 3 questions of niah_single_1 at 4K"));
}

TEST_F(Reports, OverSeveralFoldersLeaveEachItsOwnPage) {
    const std::string whole = line("a", 1.0, "7") + line("b", 1.0, "7") + line("c", 1.0, "7");
    write_run("first", whole);
    write_run("second", whole);
    static_cast<void>(report({"first"}));
    const std::string own = page("first");
    ReportJob job{.folders = {folder_.path() / "first", folder_.path() / "second"}};
    EXPECT_THROW(write_reports(job), Error);  // no place of its own
    job.out = folder_.path() / "second";
    EXPECT_THROW(write_reports(job), Error);  // the place of another
    static_cast<void>(report({"first", "second"}));
    static_cast<void>(report({"first", "second"}));  // the same place again
    EXPECT_EQ(page("first"), own);
    EXPECT_NE(page("joint"), own);
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "second/report.html"));
}

}  // namespace
}  // namespace anamnesis::eval
