// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/grade.hpp"

#include <cstddef>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/task.hpp"

#include "scoring_goldens.hpp"

namespace anamnesis::eval::grading {
namespace {

using anamnesis::testing::scoring_lines;
using anamnesis::testing::text_at;

Grade grade_line(const Json& line) {
    return grade_response(parse_reasoning_task(text_at(line, "task")),
                          text_at(line, "gold"),
                          text_at(line, "response"));
}

TEST(Grade, AgreesWithACarefulPerson) {
    int agreed = 0;
    int uncontested = 0;
    int agreed_uncontested = 0;
    for (const Json& line : scoring_lines("pairs.jsonl")) {
        const bool is_contested = line.at("contested").as_boolean("contested");
        const Grade grade = grade_line(line);
        const bool agrees = grade.is_correct == line.at("human").as_boolean("human");
        agreed += agrees ? 1 : 0;
        uncontested += is_contested ? 0 : 1;
        agreed_uncontested += agrees && !is_contested ? 1 : 0;
        if (!agrees) {
            std::printf("%s: %s, extracted '%s'\n",
                        text_at(line, "id").c_str(),
                        std::string(to_string(grade.reason)).c_str(),
                        grade.extracted.c_str());
        }
    }
    // docs/scoring.md lists the pairs behind these figures.
    EXPECT_EQ(agreed_uncontested, uncontested);
    EXPECT_GE(agreed, 536);
}

TEST(Grade, HoldsTheVerdictsItMustDefend) {
    for (const char* name : {"defended_pairs.jsonl", "held_out_pairs.jsonl"}) {
        for (const Json& line : scoring_lines(name)) {
            const Grade grade = grade_line(line);
            EXPECT_EQ(grade.is_correct, line.at("correct").as_boolean("correct"))
                << text_at(line, "id") << ": gold " << text_at(line, "gold") << ", extracted "
                << grade.extracted << ", " << to_string(grade.reason);
        }
    }
}

TEST(Grade, HoldsTheVerdictsOfPairsFromTheField) {
    for (const char* name :
         {"pairs.jsonl", "twins.jsonl", "further_twins.jsonl", "later_twins.jsonl"}) {
        for (const Json& line : scoring_lines(name, "field/grading")) {
            const bool is_cut = line.find("finish_reason") != nullptr;
            const Grade grade = grade_response(parse_reasoning_task(text_at(line, "task")),
                                               text_at(line, "gold"),
                                               text_at(line, "response"),
                                               response_end(is_cut));
            const std::string& id = text_at(line, "id");
            EXPECT_EQ(grade.is_correct, line.at("person").as_boolean("person"))
                << id << ": gold " << text_at(line, "gold") << ", extracted " << grade.extracted
                << ", " << to_string(grade.reason);
        }
    }
}

TEST(Grade, WhatIsCutBeforeItsAnswerIsUnfinished) {
    const std::string_view cut = "He sold 9 clips in May and 9 in June";
    EXPECT_TRUE(grade_response(ReasoningTask::gsm8k, "9", cut).is_correct);
    const Grade grade = grade_response(ReasoningTask::gsm8k, "9", cut, ResponseEnd::cut);
    EXPECT_EQ(grade.reason, Reason::unfinished);
    EXPECT_FALSE(grade.is_correct);
    for (const char* marked : {"#### 9\nAnd so", "\\boxed{9} which", "The answer is 9. Let me"}) {
        EXPECT_TRUE(grade_response(ReasoningTask::gsm8k, "9", marked, ResponseEnd::cut).is_correct)
            << marked;
    }
}

TEST(Grade, HostileTagsAndObjectsEndQuickly) {
    std::string tags;
    for (int i = 0; i < 100'000; ++i) {
        tags += "<answer>";
    }
    std::string pairs;
    for (int i = 0; i < 50'000; ++i) {
        pairs += "<answer></answer><think></think>";
    }
    for (const std::string& text : {tags,
                                    pairs,
                                    std::string(1'000'000, '<'),
                                    "{\"answer\": " + std::string(200'000, '['),
                                    std::string(500'000, '{') + "\"answer\": 1}"}) {
        EXPECT_FALSE(grade_response(ReasoningTask::custom, "7", text).is_correct);
    }
}

TEST(Grade, TakesEveryGoldAnswerOfMath500AsItself) {
    for (const Json& line : scoring_lines("math500_golds.jsonl")) {
        const std::string& gold = text_at(line, "gold");
        const Grade grade =
            grade_response(ReasoningTask::math500, gold, "So it is $\\boxed{" + gold + "}$.");
        EXPECT_TRUE(grade.is_correct) << gold << ": " << to_string(grade.reason);
        // Also where spelling does not help: a wider gap is no difference to the reader.
        EXPECT_NE(compare_answers(gold, "{" + gold + "}"), Reason::undecided) << gold;
    }
}

TEST(Grade, SaysWhy) {
    const auto reason = [](std::string_view gold, std::string_view response) {
        return grade_response(ReasoningTask::math500, gold, response).reason;
    };
    EXPECT_EQ(reason("4", "\\boxed{4}"), Reason::equal_text);
    EXPECT_EQ(reason("4", "\\boxed{8/2}"), Reason::equal_number);
    EXPECT_EQ(reason("2x", "\\boxed{x+x}"), Reason::equal_expression);
    EXPECT_EQ(reason("(1,2)", "\\boxed{(1, 4/2)}"), Reason::equal_structure);
    EXPECT_EQ(reason("\\text{(C)}", "\\boxed{C}"), Reason::equal_choice);
    for (const char* response : {"\\boxed{\\text{A}}", "\\boxed{\\textbf{A.}}"}) {
        EXPECT_TRUE(grade_response(ReasoningTask::custom, "A", response).is_correct) << response;
        EXPECT_FALSE(grade_response(ReasoningTask::custom, "B", response).is_correct) << response;
    }
    EXPECT_EQ(reason("4", "\\boxed{5}"), Reason::different);
    EXPECT_EQ(reason("4\\text{ cm}", "\\boxed{4\\text{ kg}}"), Reason::other_unit);
    EXPECT_EQ(reason("4", "\\boxed{\\oint x}"), Reason::undecided);
    EXPECT_EQ(reason("\\int_0^1 x dx", "\\boxed{4}"), Reason::undecided);
    EXPECT_EQ(reason("\\sum_{k=1}^{\\infty} 2^{-k}", "\\boxed{1}"), Reason::undecided);
    EXPECT_EQ(reason("4", "I cannot say."), Reason::no_answer);
    EXPECT_EQ(reason("4", "<think>\\boxed{4}"), Reason::unfinished);
    EXPECT_EQ(reason("4", "\\boxed{4"), Reason::unfinished);
    EXPECT_EQ(reason("", "\\boxed{4}"), Reason::no_gold);
}

TEST(Grade, BoundsHedgesAndNegationsAreNoNumbers) {
    for (const char* answer : {"\\text{at least } 5",
                               "\\text{more than } 5",
                               "\\text{not } 5",
                               "5 \\text{ or } 6",
                               "5, 6",
                               "x > 5",
                               "x \\ne 5",
                               "5\\text{ hours } 20 \\text{ minutes}",
                               "5:00"}) {
        EXPECT_FALSE(is_correct(compare_answers("5", answer))) << answer;
    }
    EXPECT_TRUE(is_correct(compare_answers("5", "\\text{about } 5")));
}

TEST(Grade, ASetIsNoIntervalAndNoTuple) {
    for (const char* answer : {"(2,5)",
                               "(5,2)",
                               "]2,5[",
                               "[2,5]",
                               "\\langle 2,5\\rangle",
                               "\\left(2,5\\right)",
                               "x\\in(2,5)",
                               "[2,5)",
                               "2<x<5"}) {
        EXPECT_FALSE(is_correct(compare_answers("\\{2,5\\}", answer))) << answer;
    }
    for (const char* answer : {"(2,5,7)", "[2,5,7]", "\\langle 2,5,7\\rangle"}) {
        EXPECT_FALSE(is_correct(compare_answers("\\{2,5,7\\}", answer))) << answer;
    }
    for (const char* answer : {"2,5", "5,2", "\\{5,2\\}", "x=5\\text{ or }x=2"}) {
        EXPECT_TRUE(is_correct(compare_answers("\\{2,5\\}", answer))) << answer;
    }
    EXPECT_TRUE(is_correct(compare_answers("(2,5)", "2,5")));
}

TEST(Grade, ADeterminantIsNoMatrix) {
    const auto matrix = [](const std::string& kind) {
        return "\\begin{" + kind + "}2&0\\\\0&3\\end{" + kind + "}";
    };
    for (const char* kind : {"pmatrix", "bmatrix"}) {
        EXPECT_TRUE(is_correct(compare_answers(matrix("pmatrix"), matrix(kind)))) << kind;
        for (const char* bars : {"vmatrix", "Vmatrix"}) {
            EXPECT_FALSE(is_correct(compare_answers(matrix(kind), matrix(bars)))) << bars;
            EXPECT_FALSE(is_correct(compare_answers(matrix(bars), matrix(kind)))) << bars;
            EXPECT_TRUE(is_correct(compare_answers(matrix(bars), "{" + matrix(bars) + "}")));
            EXPECT_FALSE(is_correct(compare_answers(matrix(bars), "[[2,0],[0,3]]"))) << bars;
        }
    }
    EXPECT_FALSE(is_correct(compare_answers("\\begin{vmatrix}1\\\\2\\end{vmatrix}", "(1,2)")));
}

TEST(Grade, ABareGoldLetterIsAChoiceBeforeItsValue) {
    for (const char* response : {"\\boxed{(B) 12}",
                                 "\\boxed{B) 12}",
                                 "\\boxed{B. 12}",
                                 "\\boxed{\\text{(B) Paris}}",
                                 "\\boxed{\\textbf{(B)}\\ 12}",
                                 "\\boxed{(B) -12}",
                                 "\\boxed{\\text{(B)}}",
                                 "<answer>B) 12</answer>",
                                 "<answer>(B) Paris</answer>",
                                 "<answer>B: twelve</answer>",
                                 "The answer is B) 12.",
                                 "The answer is (B) Paris.",
                                 "So the answer is $\\textbf{(B) }12$."}) {
        EXPECT_TRUE(grade_response(ReasoningTask::custom, "B", response).is_correct) << response;
    }
    for (const char* response : {"\\boxed{(C) 12}",
                                 "\\boxed{(B)(12)}",
                                 "\\boxed{(B) + 12}",
                                 "\\boxed{(B) - 12}",
                                 "\\boxed{B = 12}",
                                 "<answer>(B) and (C)</answer>",
                                 "<answer>B) or C)</answer>",
                                 "The answer is (C) Paris.",
                                 "The answer is (C) 12, not (B) 13."}) {
        EXPECT_FALSE(grade_response(ReasoningTask::custom, "B", response).is_correct) << response;
    }
}

TEST(Grade, BoxesWithLabelsAreOneList) {
    for (const char* response : {"- First root: $\\boxed{2}$\n- Second root: $\\boxed{3}$",
                                 "- Smaller root: $\\boxed{2}$\n- Larger root: $\\boxed{3}$",
                                 "Answer 1: $\\boxed{2}$\n\nAnswer 2: $\\boxed{3}$",
                                 "**First answer:** \\boxed{2}\n**Second answer:** \\boxed{3}",
                                 "First: \\boxed{2}\nSecond: \\boxed{3}",
                                 "Positive solution: \\boxed{3}\nNegative solution: \\boxed{2}",
                                 "x = \\boxed{2} (first root)\nx = \\boxed{3} (second root)",
                                 "– \\boxed{2}\n– \\boxed{3}"}) {
        EXPECT_TRUE(grade_response(ReasoningTask::math500, "2,3", response).is_correct) << response;
    }
    for (const char* response : {"First root: \\boxed{2}\nFinal answer: \\boxed{3}",
                                 "x = \\boxed{2} (extraneous)\nx = \\boxed{3}",
                                 "x = \\boxed{2} (not a solution)\nx = \\boxed{3}",
                                 "First step: \\boxed{2}\nSecond step: \\boxed{3}",
                                 "\\boxed{2}\nCorrect answer: \\boxed{3}"}) {
        EXPECT_TRUE(grade_response(ReasoningTask::math500, "3", response).is_correct) << response;
    }
}

TEST(Grade, NothingEqualsNothing) {
    for (const std::string_view empty : {"", " ", "\\boxed{}", "$$", "\\text{}", "{}", ".", "\n"}) {
        EXPECT_FALSE(is_correct(compare_answers(empty, empty))) << empty;
        EXPECT_FALSE(grade_response(ReasoningTask::custom, empty, empty).is_correct) << empty;
    }
}

TEST(Grade, EqualityGoesBothWaysForNumbersOfEveryForm) {
    const std::vector<std::string> forms{"\\frac{7}{4}",
                                         "7/4",
                                         "1.75",
                                         "1\\frac34",
                                         "1 3/4",
                                         "175\\%",
                                         "\\sqrt{\\frac{49}{16}}",
                                         "\\frac{7}{2^2}",
                                         "1.75000",
                                         "17.5\\times10^{-1}",
                                         "{7 \\over 4}",
                                         "7 \\div 4"};
    for (const std::string& left : forms) {
        for (const std::string& right : forms) {
            EXPECT_TRUE(is_correct(compare_answers(left, right))) << left << " and " << right;
        }
        EXPECT_FALSE(is_correct(compare_answers(left, "1.7"))) << left;
        EXPECT_FALSE(is_correct(compare_answers("-7/4", left))) << left;
    }
}

TEST(Grade, HostileAnswersEndQuickly) {
    std::string braces(1'000'000, '{');
    std::string fractions;
    std::string text;
    std::string boxes;
    for (int i = 0; i < 60'000; ++i) {
        fractions += "\\frac{";
        text += "\\text{";
        boxes += "\\boxed{";
    }
    const std::vector<std::string> answers{
        braces,
        std::string(1'000'000, '}'),
        std::string(1'000'000, '('),
        std::string(1'000'000, '$'),
        std::string(1'000'000, '9'),
        std::string(1'000'000, '-'),
        std::string(1'000'000, '|'),
        fractions,
        text,
        boxes,
        boxes + "1",
        "\\boxed{10^{10^{10^{10}}}}",
        "\\boxed{9999999999!}",
        "\\boxed{9^{9^{9}}}",
        "\\boxed{\\binom{99999999999}{5000}}",
        "\\boxed{1e9999999}",
        "\\boxed{" + fractions.substr(0, 6'000) + "}",
        "\\boxed{" + std::string(7'000, '(') + "1" + std::string(7'000, ')') + "}",
        "\\boxed{" + std::string(3'000, '-') + "1}",
        "answer is answer is " + std::string(300'000, 'a'),
        "\\boxed{2^{2^{2^{2^{2^{2}}}}}}",
        "\\boxed{\\sqrt[99999999]{2}}",
        std::string("\\boxed{\0\xFF\xFE}", 11)};
    for (const std::string& answer : answers) {
        for (const ReasoningTask task : {ReasoningTask::math500, ReasoningTask::gsm8k}) {
            EXPECT_FALSE(grade_response(task, "42", answer).is_correct)
                << std::string_view(answer).substr(0, 40);
        }
    }
}

TEST(Extraction, NamesItsSource) {
    const auto source = [](std::string_view response, ReasoningTask task) {
        return extract_answer(response, task).source;
    };
    EXPECT_EQ(source("\\boxed{1}", ReasoningTask::math500), AnswerSource::box);
    EXPECT_EQ(source("#### 1", ReasoningTask::gsm8k), AnswerSource::marks);
    EXPECT_EQ(source("The answer is 1.", ReasoningTask::math500), AnswerSource::answer_line);
    EXPECT_EQ(source("So it is 1.", ReasoningTask::math500), AnswerSource::statement);
    EXPECT_EQ(source("So we then have", ReasoningTask::math500), AnswerSource::statement);
    EXPECT_EQ(source("", ReasoningTask::math500), AnswerSource::none);
    EXPECT_EQ(source("<think>1", ReasoningTask::math500), AnswerSource::unfinished);
}

TEST(Classes, EqualAnswersVoteTogether) {
    std::vector<Extraction> answers;
    for (const char* response :
         {"\\boxed{0.5}", "nothing at all", "\\boxed{2}", "\\boxed{\\frac12}", "<think>"}) {
        answers.push_back(extract_answer(response, ReasoningTask::math500));
    }
    const auto classes = classes_of_answers(answers, ReasoningTask::math500);
    ASSERT_EQ(classes.size(), 5U);
    EXPECT_EQ(classes[0], 0U);
    EXPECT_EQ(classes[2], 2U);
    EXPECT_EQ(classes[3], 0U);
    EXPECT_EQ(classes[4], std::nullopt);
}

TEST(Task, UnknownNamesAreRefused) {
    EXPECT_EQ(parse_reasoning_task("aime24"), ReasoningTask::aime24);
    EXPECT_THROW(parse_reasoning_task("gsm9k"), Error);
}

}  // namespace
}  // namespace anamnesis::eval::grading
