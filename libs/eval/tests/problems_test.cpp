// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/problems.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/eval/grading/task.hpp"
#include "anamnesis/io/line_reader.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Problems : public ::testing::Test {
protected:
    std::vector<Problem> read(const std::string& text,
                              std::optional<ReasoningTask> task = std::nullopt) {
        return read_problems(folder_.write("data.jsonl", text), task);
    }
    std::string refusal(const std::string& text, std::optional<ReasoningTask> task = std::nullopt) {
        try {
            read(text, task);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed);
            return error.what();
        }
        ADD_FAILURE() << "was read: " << text;
        return {};
    }
    anamnesis::testing::TemporaryFolder folder_;
};

TEST_F(Problems, Gsm8kAnswersAreSplitAtTheMarks) {
    const auto problems =
        read(R"({"question": "How many?", "answer": "48/2 = <<48/2=24>>24 clips.\n#### 1,024"})"
             "\n"
             R"({"question": "And now?", "answer": "#### 7 "})");
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[0].task, ReasoningTask::gsm8k);
    EXPECT_EQ(problems[0].id, "gsm8k/0");
    EXPECT_EQ(problems[0].question, "How many?");
    EXPECT_EQ(problems[0].gold, "1,024");
    EXPECT_EQ(problems[0].solution, "48/2 = 24 clips.");
    EXPECT_EQ(problems[1].id, "gsm8k/1");
    EXPECT_EQ(problems[1].gold, "7");
}

TEST_F(Problems, EachDataSetIsRecognisedByItsFields) {
    const auto math = read(
        R"({"problem": "p", "solution": "s", "answer": "\\frac12", "unique_id": "test/1.json"})");
    EXPECT_EQ(math[0].task, ReasoningTask::math500);
    EXPECT_EQ(math[0].id, "test/1.json");
    EXPECT_EQ(math[0].gold, "\\frac12");
    EXPECT_EQ(math[0].solution, "s");
    const auto aime = read(R"({"id": 60, "problem": "p", "solution": "s", "answer": "073"})");
    EXPECT_EQ(aime[0].task, ReasoningTask::aime24);
    EXPECT_EQ(aime[0].id, "60");
    EXPECT_EQ(aime[0].gold, "073");
    const auto amc = read(R"({"id": 0, "problem": "p", "answer": 27.0, "question": "p"})");
    EXPECT_EQ(amc[0].task, ReasoningTask::amc23);
    EXPECT_EQ(amc[0].gold, "27.0");
    const auto custom = read(R"({"question": "q", "answer": 4})");
    EXPECT_EQ(custom[0].task, ReasoningTask::custom);
    EXPECT_EQ(custom[0].gold, "4");
    EXPECT_EQ(read(R"({"question": "q", "answer": "4"})", ReasoningTask::math500)[0].task,
              ReasoningTask::math500);
}

TEST_F(Problems, RefusalsNameFileLineAndField) {
    const std::string good = R"({"question": "q", "answer": "1"})";
    EXPECT_THAT(refusal(good + "\n\n{\"question\": \"q\"}"),
                AllOf(HasSubstr("line 3"), HasSubstr("data.jsonl"), HasSubstr("'answer'")));
    EXPECT_THAT(refusal(R"({"answer": "1"})"), HasSubstr("'problem'"));
    EXPECT_THAT(refusal("{\"question\": }"), HasSubstr("line 1"));
    EXPECT_THAT(refusal("[1]"), HasSubstr("no JSON object"));
    EXPECT_THAT(refusal("\n"), HasSubstr("holds no problem"));
    EXPECT_THAT(refusal(R"({"question": "q", "answer": " "})"), HasSubstr("empty"));
    EXPECT_THAT(refusal(R"({"question": "q", "answer": "no marks"})", ReasoningTask::gsm8k),
                HasSubstr("####"));
    EXPECT_THAT(refusal(R"({"id": 1.5, "question": "q", "answer": "1"})"),
                HasSubstr("neither text nor an integer"));
    const std::string twin = R"({"id": "a", "question": "q", "answer": "1"})";
    EXPECT_THAT(refusal(twin + "\n" + twin),
                AllOf(HasSubstr("line 2"), HasSubstr("id 'a' of line 1")));
}

TEST_F(Problems, AimeIsReadUnderEveryNameOfItsFields) {
    for (const char* line : {R"({"ID": "2024-I-4", "Problem": "p", "Solution": "s", "Answer": 73})",
                             R"({"ID": "2024-I-4", "Question": "p", "Answer": "73", "Year": 2024})",
                             R"({"url": "2024-I-4", "problem": "p", "answer": "73"})",
                             R"({"url": "2024-I-4", "question": "p", "answer": 73})"}) {
        const auto aime = read(line);
        EXPECT_EQ(aime[0].task, ReasoningTask::aime24) << line;
        EXPECT_EQ(aime[0].id, "2024-I-4");
        EXPECT_EQ(aime[0].question, "p");
        EXPECT_EQ(aime[0].gold, "73");
    }
}

TEST_F(Problems, SamplesOfLmEvalAreProblemsToo) {
    const auto problems =
        read(R"({"doc_id": 4, "doc": {"question": "q", "answer": "1+1\n#### 2"}, "target": "2",)"
             R"( "resps": [["r"]], "filter": "strict-match"})"
             "\n"
             R"({"doc_id": 4, "doc": {"question": "q", "answer": "1+1\n#### 2"}, "target": "2",)"
             R"( "resps": [["r"]], "filter": "flexible-extract"})");
    ASSERT_EQ(problems.size(), 1U);
    EXPECT_EQ(problems[0].id, "4");
    EXPECT_EQ(problems[0].task, ReasoningTask::gsm8k);
    EXPECT_EQ(problems[0].gold, "2");
    EXPECT_EQ(read(R"({"doc_id": 0, "doc": {"Problem": "p"}, "target": 7})")[0].gold, "7");
    // The generative MMLU: the answer is the number of a choice, or a truth, the target what is
    // read.
    for (const char* answer : {"1", "true", R"({"value": "B"})"}) {
        EXPECT_EQ(read(std::string(R"({"doc_id": 0, "doc": {"question": "q", "answer": )") +
                       answer + R"(}, "target": "B"})")[0]
                      .gold,
                  "B");
    }
}

TEST_F(Problems, AMissingFileIsNotFound) {
    try {
        read_problems(folder_.path() / "none.jsonl");
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
    }
}

TEST_F(Problems, LinesOfEveryLengthAndEndAreRead) {
    const std::string text =
        std::string(3'000'000, 'a') + "\r\n\nb\n" + std::string(1U << 20U, 'c');
    io::LineReader reader(folder_.write("lines.txt", text));
    std::string line;
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, std::string(3'000'000, 'a'));
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "");
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, "b");
    ASSERT_TRUE(reader.next(line));
    EXPECT_EQ(line, std::string(1U << 20U, 'c'));
    EXPECT_EQ(reader.number(), 4U);
    EXPECT_FALSE(reader.next(line));
}

TEST(SharedProblems, TheDataSetsAreReadWhole) {
    const std::filesystem::path data = std::filesystem::path(ANAMNESIS_SHARED) / "data";
    if (!std::filesystem::exists(data / "gsm8k")) {
        GTEST_SKIP() << "no " << data << "/gsm8k, math500, aime24, amc23";
    }
    const auto count = [&](const char* file, ReasoningTask task) {
        const auto problems = read_problems(data / file);
        EXPECT_EQ(problems.front().task, task) << file;
        return problems.size();
    };
    EXPECT_EQ(count("gsm8k/test.jsonl", ReasoningTask::gsm8k), 1319U);
    EXPECT_EQ(count("gsm8k/train.jsonl", ReasoningTask::gsm8k), 7473U);
    EXPECT_EQ(count("math500/test.jsonl", ReasoningTask::math500), 500U);
    EXPECT_EQ(count("aime24/test.jsonl", ReasoningTask::aime24), 30U);
    EXPECT_EQ(count("amc23/test.jsonl", ReasoningTask::amc23), 40U);
}

}  // namespace
}  // namespace anamnesis::eval
