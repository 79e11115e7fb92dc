// SPDX-License-Identifier: Apache-2.0
//
// The verb grade on answers a user might have, and its refusals.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "folder_snapshot.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Grading : public ::testing::Test {
protected:
    CommandResult grade(const std::string& lines, std::vector<std::string> options = {}) {
        const fs::path in = folder_.write("answers.jsonl", lines);
        std::vector<std::string> arguments{
            ANAMNESIS_BINARY, "grade", "--in", in.string(), "--out", out_.string()};
        arguments.insert(arguments.end(), options.begin(), options.end());
        return run_command(arguments);
    }
    std::vector<Json> graded() const {
        std::vector<Json> lines;
        std::ifstream file(out_);
        std::string text;
        while (std::getline(file, text)) {
            lines.push_back(Json::parse(text));
        }
        return lines;
    }
    /// Nothing was written, not even a temporary.
    void expect_no_output(std::size_t files) const {
        EXPECT_EQ(
            static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_.path()), {})),
            files);
    }

    TemporaryFolder folder_;
    fs::path out_ = folder_.path() / "graded.jsonl";
};

TEST_F(Grading, GivesVerdictExtractReasonAndLmEvalColumns) {
    const auto result = grade(
        R"({"id": "a", "task": "math500", "gold": "\\frac12", "response": "So \\boxed{0.5}."})"
        "\n"
        R"({"id": 7, "sample": 3, "task": "gsm8k", "gold": "18", "response": "#### 18.0"})"
        "\n"
        R"({"id": "c", "task": "math500", "gold": "1", "response": null})"
        "\n"
        R"({"id": "d", "gold": "1", "response": "<think>\\boxed{1}"})"
        "\n");
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output,
                AllOf(HasSubstr("4 answers to 4 problems: 2 correct, 50.0 %"),
                      HasSubstr("extracted nothing: 1, unfinished: 1, undecided: 0")));
    const auto lines = graded();
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[0].dump(),
              R"({"id":"a","task":"math500","correct":true,"extracted":"0.5",)"
              R"("reason":"equal_number","lm_eval":{"hendrycks":false,"aime":true,)"
              R"("minerva_text":false}})");
    EXPECT_EQ(lines[1].dump(),
              R"({"id":"7","sample":3,"task":"gsm8k","correct":true,"extracted":"18.0",)"
              R"("reason":"equal_number","lm_eval":{"hendrycks":false,"aime":false,)"
              R"("minerva_text":false,"gsm8k_strict":false,"gsm8k_flexible":false,)"
              R"("gsm8k_cot_strict":false}})");
    EXPECT_EQ(lines[2].at("reason").as_string("reason"), "no_answer");
    EXPECT_EQ(lines[3].at("reason").as_string("reason"), "unfinished");
    EXPECT_EQ(lines[3].at("task").as_string("task"), "custom");
}

TEST_F(Grading, AgreesWithTheLibraryOnEveryGoldenPair) {
    std::ifstream file(fs::path(ANAMNESIS_TESTDATA) / "scoring" / "pairs.jsonl");
    const std::string pairs((std::istreambuf_iterator<char>(file)), {});
    ASSERT_EQ(grade(pairs, {"--threads", "3"}).exit_code, 0);
    const auto lines = graded();
    ASSERT_EQ(lines.size(), 537U);
    std::size_t agreed = 0;
    std::size_t row = 0;
    for (const std::string& text : split(pairs, '\n')) {
        if (!text.empty()) {
            const Json pair = Json::parse(text);
            EXPECT_EQ(lines[row].at("id"), pair.at("id"));
            EXPECT_EQ(lines[row].at("lm_eval").at("aime"), pair.at("lm_eval_aime"));
            agreed += lines[row].at("correct") == pair.at("human") ? 1 : 0;
            ++row;
        }
    }
    EXPECT_GE(agreed, 536U);
}

TEST_F(Grading, TakesGoldAnswersFromTheDataSetById) {
    const fs::path data = folder_.write("data.jsonl",
                                        R"({"question": "q", "answer": "2 = <<1+1=2>>2\n#### 2"})"
                                        "\n"
                                        R"({"question": "r", "answer": "#### 3"})");
    const std::string answers = R"({"id": "gsm8k/0", "response": "The answer is 2."})"
                                "\n"
                                R"({"id": "gsm8k/0", "response": "The answer is 3."})"
                                "\n"
                                R"({"id": "gsm8k/1", "response": "#### 3"})";
    const auto result = grade(answers, {"--data", data.string(), "--json"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    const Json summary = Json::parse(result.output);
    EXPECT_EQ(summary.at("answers").as_unsigned("answers"), 3U);
    EXPECT_EQ(summary.at("problems").as_unsigned("problems"), 2U);
    EXPECT_EQ(summary.at("correct").as_unsigned("correct"), 2U);
    // avg@k is the mean over problems: (1/2 + 1) / 2.
    EXPECT_EQ(summary.at("share").as_double("share"), 0.75);
    EXPECT_EQ(summary.at("interval_kind").as_string("kind"), "Wilson, clustered by problem");
    EXPECT_EQ(graded()[0].at("task").as_string("task"), "gsm8k");

    const auto unknown = grade(R"({"id": "gsm8k/9", "response": "2"})", {"--data", data.string()});
    EXPECT_EQ(unknown.exit_code, 6);
    EXPECT_THAT(unknown.errors,
                AllOf(HasSubstr("line 1"), HasSubstr("data.jsonl"), HasSubstr("'gsm8k/9'")));
}

TEST_F(Grading, ReadsTheSamplesOfLmEval) {
    const std::string doc = R"({"doc_id": 3, "doc": {"question": "q", "answer": "#### 2"}, )";
    const auto result = grade(
        doc + R"("target": "#### 2", "resps": [["It is 2.\n#### 2", "#### 3"]], "filter": "a"})" +
            "\n" + doc + R"("target": "#### 2", "resps": [["#### 2"]], "filter": "b"})" + "\n" +
            R"({"doc_id": 4, "doc": {"ID": "x", "Problem": "p", "Answer": 73}, "target": "73",)" +
            R"( "filtered_resps": ["\\boxed{073}"], "filter": "a"})",
        {"--json"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    const auto lines = graded();
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0].at("id").as_string("id"), "3");
    EXPECT_EQ(lines[0].at("task").as_string("task"), "gsm8k");
    EXPECT_EQ(lines[0].at("sample").as_unsigned("sample"), 0U);
    EXPECT_TRUE(lines[0].at("correct").as_boolean("correct"));
    EXPECT_FALSE(lines[1].at("correct").as_boolean("correct"));
    EXPECT_EQ(lines[2].at("task").as_string("task"), "aime24");
    EXPECT_TRUE(lines[2].at("correct").as_boolean("correct"));

    const auto choice = grade(doc + R"("target": "2", "resps": [[["-3.2", "False"]]]})" + "\n" +
                              doc + R"("target": "2", "resps": [[[-3.2, false]]]})");
    EXPECT_EQ(choice.exit_code, 4);
    EXPECT_THAT(choice.errors, AllOf(HasSubstr("line 1"), HasSubstr("multiple choice")));
}

TEST_F(Grading, TakesAnswersThatWereCutForUnfinished) {
    const std::string line =
        R"({"id": "a", "task": "gsm8k", "gold": "9", "response": "He sold 9 clips", )";
    EXPECT_EQ(
        grade(line + R"("finish_reason": "length"})" + "\n" + line + R"("finish_reason": "stop"})")
            .exit_code,
        0);
    EXPECT_EQ(graded()[0].at("reason").as_string("reason"), "unfinished");
    EXPECT_TRUE(graded()[1].at("correct").as_boolean("correct"));
}

TEST_F(Grading, RefusesWithFileAndLineAndWritesNothing) {
    const std::string good = R"({"id": "a", "gold": "1", "response": "1"})";
    const auto missing_gold = grade(good + "\n" + R"({"id": "b", "response": "1"})");
    EXPECT_EQ(missing_gold.exit_code, 6);
    EXPECT_THAT(missing_gold.errors,
                AllOf(HasSubstr("line 2"), HasSubstr("answers.jsonl"), HasSubstr("--data")));
    const auto missing_id = grade(R"({"gold": "1", "response": "1"})");
    EXPECT_EQ(missing_id.exit_code, 4);
    EXPECT_THAT(missing_id.errors, HasSubstr("no 'id'"));
    const auto missing_response = grade(R"({"id": "a", "gold": "1"})");
    EXPECT_EQ(missing_response.exit_code, 4);
    EXPECT_THAT(missing_response.errors, HasSubstr("'response'"));
    const auto broken = grade(good + "\n{");
    EXPECT_EQ(broken.exit_code, 4);
    EXPECT_THAT(broken.errors, HasSubstr("line 2"));
    const auto unknown_task =
        grade(R"({"id": "a", "task": "gsm9k", "gold": "1", "response": "1"})");
    EXPECT_EQ(unknown_task.exit_code, 2);
    EXPECT_THAT(unknown_task.errors, AllOf(HasSubstr("gsm9k"), HasSubstr("line 1")));
    EXPECT_EQ(grade("\n").exit_code, 4);
    EXPECT_EQ(grade(good, {"--task", "nonsense"}).exit_code, 2);
    expect_no_output(1);
}

TEST_F(Grading, RefusesTwoGoldAnswersOfOneId) {
    const std::string first = R"({"id": "a", "gold": "5", "response": "5"})";
    const auto twice = grade(first + "\n" + R"({"id": "a", "gold": "6", "response": "6"})");
    EXPECT_EQ(twice.exit_code, 4);
    EXPECT_THAT(twice.errors,
                AllOf(HasSubstr("line 2"),
                      HasSubstr("answers.jsonl"),
                      HasSubstr("the id 'a' of line 1"),
                      HasSubstr("'6' instead of '5'")));
    expect_no_output(1);
    const fs::path data = folder_.write("data.jsonl",
                                        R"({"id": "a", "problem": "p", "answer": "5"})"
                                        "\n"
                                        R"({"id": "a", "problem": "q", "answer": "6"})");
    const auto data_twice = grade(R"({"id": "a", "response": "5"})", {"--data", data.string()});
    EXPECT_EQ(data_twice.exit_code, 4);
    EXPECT_THAT(
        data_twice.errors,
        AllOf(HasSubstr("line 2"), HasSubstr("data.jsonl"), HasSubstr("the id 'a' of line 1")));
    // Samples of one problem, and a problem of another task.
    EXPECT_EQ(grade(first + "\n" + first + "\n" +
                    R"({"id": "a", "task": "gsm8k", "gold": "6", "response": "6"})")
                  .exit_code,
              0);
}

TEST_F(Grading, RefusesToOverwriteItsInput) {
    const std::string line = R"({"id": "a", "gold": "1", "response": "1"})";
    const fs::path in = folder_.write("answers.jsonl", line);
    const auto result =
        run_command({ANAMNESIS_BINARY, "grade", "--in", in.string(), "--out", in.string()});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(read_file(in), line);
}

}  // namespace
}  // namespace anamnesis::testing
