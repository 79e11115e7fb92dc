// SPDX-License-Identifier: Apache-2.0
//
// Units of one letter, currencies, and answers that are a letter alone.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/eval/grading/extraction.hpp"
#include "anamnesis/eval/grading/grade.hpp"
#include "anamnesis/eval/grading/task.hpp"

namespace anamnesis::eval::grading {
namespace {

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;  // gold and answer

void expect_equal(const Pairs& pairs) {
    for (const auto& [gold, answer] : pairs) {
        const Reason reason = compare_answers(gold, answer);
        EXPECT_TRUE(is_correct(reason)) << gold << " and " << answer << ": " << to_string(reason);
    }
}

void expect_different(const Pairs& pairs) {
    for (const auto& [gold, answer] : pairs) {
        const Reason reason = compare_answers(gold, answer);
        EXPECT_FALSE(is_correct(reason)) << gold << " and " << answer << ": " << to_string(reason);
    }
}

TEST(GradeUnits, AnUprightLetterAfterANumberIsAUnit) {
    expect_equal({{"10 km", "10000 \\mathrm{m}"},
                  {"10 km", "10000\\,\\mathrm{m}"},
                  {"10 km", "10000 \\text{m}"},
                  {"5 \\mathrm{~m}", "500 \\mathrm{~cm}"},
                  {"5", "5\\mathrm{m}"},
                  {"5", "5\\,\\mathrm{m}"},
                  {"5", "5\\operatorname{m}"},
                  {"5", "5{\\rm m}"},
                  {"5", "5\\ \\rm m"},
                  {"5", "x = 5\\,\\mathrm{m}"},
                  {"5\\,\\mathrm{m}", "5"},
                  {"\\frac{5}{2}", "\\frac{5}{2}\\,\\mathrm{m}"},
                  {"5x", "5x\\,\\mathrm{m}"},
                  {"5 kg", "5000 \\mathrm{g}"},
                  {"2 L", "2000 \\text{ mL}"},
                  {"2000 mL", "2\\,\\mathrm{L}"},
                  {"18 \\text{ km/h}", "5\\,\\mathrm{m/s}"},
                  {"5\\,\\mathrm{m/s}", "5\\,\\mathrm{m\\,s^{-1}}"},
                  {"50000 \\text{ cm}^2", "5\\,\\mathrm{m}^2"},
                  {"25", "25^{\\circ}\\mathrm{C}"},
                  {"25^\\circ\\mathrm{C}", "25"},
                  {"5 \\text{ N}", "5\\,\\mathrm{N}"},
                  {"5 \\text{ newtons}", "5\\,\\mathrm{N}"}});
    expect_different({{"10 km", "10 \\mathrm{m}"},
                      {"5\\,\\mathrm{m}", "5\\,\\mathrm{s}"},
                      {"5\\,\\mathrm{m}", "6"},
                      {"5", "\\frac{5}{\\mathrm{m}}"},
                      {"5", "5\\mathrm{m} + 2"},
                      {"5", "\\$5\\,\\mathrm{K}"},
                      {"10 \\text{ s}", "10 \\text{ s}^{-1}"},
                      {"5 cans", "5 \\text{ N}"}});
}

TEST(GradeUnits, APlainLetterIsAUnitOnlyBesideOneThatMeasuresTheSame) {
    expect_equal({{"10 km", "10000 m"},
                  {"10 km", "10000m"},
                  {"5 m", "500 cm"},
                  {"500 cm", "5 m"},
                  {"5 m", "5 \\text{ m}"},
                  {"5 kg", "5000 g"},
                  {"2 L", "2000 mL"},
                  {"5 m, 6 m", "600 cm, 500 cm"},
                  {"x = 5 m", "x = 500\\text{ cm}"},
                  {"The distance is 5 m", "500 cm"},
                  // Algebra stays algebra.
                  {"5m", "m + 4m"},
                  {"5m", "2m + 3m"}});
    expect_different({{"5m", "5"},
                      {"5", "5m"},
                      {"5", "5 m"},
                      {"5 m", "5"},
                      {"10 km", "10 m"},
                      {"5m", "5 \\text{ s}"},
                      {"m", "5 \\text{ m}"},
                      {"5x + 3m", "(5x + 3)\\text{ m}"},
                      {"5m + 2", "7 \\text{ m}"}});
}

TEST(GradeUnits, OtherSignsOfMoneyAreOtherCurrencies) {
    expect_different({{"$5", "€5"},
                      {"$5", "£5"},
                      {"$5", "¥5"},
                      {"\\$5", "€5"},
                      {"€5", "$5"},
                      {"£5", "€5"},
                      {"¥5", "$5"},
                      {"$ 5", "€ 5"},
                      {"$-5", "€-5"},
                      {"$.50", "€.50"},
                      {"5$", "5€"},
                      {"$5", "5 \\text{ euros}"},
                      {"$5", "HK$5"},
                      {"$1,200", "€1,200"},
                      {"$5, $6", "€5, €6"}});
    EXPECT_EQ(compare_answers("$5", "€5"), Reason::other_unit);
    expect_equal({{"5", "$5"},
                  {"5", "€5"},
                  {"$5", "5"},
                  {"€5", "5"},
                  {"$5", "\\$5"},
                  {"\\$5", "5$"},
                  {"\\$5", "$\\$5$"},
                  {"€5", "5 EUR"},
                  {"$5", "5 dollars"},
                  {"$5", "500 cents"},
                  {"$-5", "-$5"},
                  {"$5, $6", "5, 6"},
                  {"11", "$5 + $6"},
                  {"18", "3 \\times $6"},
                  // Delimiters of mathematics are no money.
                  {"$5$", "€5"},
                  {"5 \\text{ cm}", "$5$"},
                  {"5 \\text{ cm}", "$5 $"},
                  {"\\frac12", "$\\frac{1}{2}$"}});
}

TEST(GradeUnits, SymbolsOfSeveralLettersAreNoProducts) {
    for (const std::string unit : {" °C",
                                   "^\\circ C",
                                   "^{\\circ}\\text{C}",
                                   "^{\\circ C}",
                                   " degrees Celsius",
                                   " °F",
                                   " sq ft",
                                   " kWh",
                                   " kJ",
                                   " Hz",
                                   " mol",
                                   " mL",
                                   " g/mol",
                                   " m/min",
                                   " g per mol"}) {
        const std::string amount = "20" + unit;
        expect_equal({{amount, "20"}, {"20", amount}, {amount, amount + "."}});
        expect_different({{amount, "21"}, {"21", amount}});
    }
    expect_equal({{"100 °C", "100^\\circ\\mathrm{C}"},
                  {"100 degrees Celsius", "100 °C"},
                  {"20 sq ft", "20 square feet"},
                  {"20 ft^2", "20 sq ft"},
                  {"2 kWh", "2000 \\text{ Wh}"},
                  {"2 kJ", "2000\\text{ J}"},
                  {"2 kHz", "2000 hertz"},
                  {"1 L", "1000\\text{ cm}^3"},
                  {"1 mL", "1 \\text{ cubic centimeters}"},
                  {"20 zł", "20 PLN"}});
    expect_different({{"100 °C", "100 °F"},
                      {"1 L", "1\\text{ cm}^3"},
                      {"20 kWh", "20 \\text{ kJ}"},
                      {"20 sq ft", "20 ft"},
                      {"20 Hz", "20 \\text{ mol}"},
                      {"h z", "20 Hz"},
                      {"60 \\text{ m/min}", "60 m/h"}});
}

TEST(GradeUnits, PoundsAreMoneyBesideMoney) {
    expect_equal({{"£20", "20 pounds"},
                  {"20 pounds", "£20"},
                  {"£20", "20 \\text{ pounds}"},
                  {"2000 pence", "20 pounds"},
                  {"20 pounds", "20 lb"},
                  {"20 pounds", "320 ounces"}});
    expect_different({{"£20", "21 pounds"}, {"£20", "20 lb"}, {"$20", "20 pounds"}});
}

TEST(GradeUnits, TheSignOfASentenceCountsToo) {
    const auto is_right = [](std::string_view gold, std::string_view response) {
        return grade_response(ReasoningTask::custom, gold, response).is_correct;
    };
    EXPECT_FALSE(is_right("$5", "The answer is €5."));
    EXPECT_FALSE(is_right("$5", "It costs £5."));
    EXPECT_TRUE(is_right("$5", "The answer is $5."));
    EXPECT_TRUE(is_right("$5", "So it is $5$."));
    EXPECT_TRUE(is_right("10 km", "The distance is 10000 m."));
}

TEST(GradeChoices, ALetterAloneIsAnAnswer) {
    for (const char* response : {"A",
                                 "A.",
                                 "(A)",
                                 "**A**",
                                 "**A.**",
                                 "A\n",
                                 "Option A",
                                 "We compare all four.\n\nA",
                                 "<think>Maybe B.</think>A"}) {
        for (const char* gold : {"A", "(A)", "\\text{A}"}) {
            const Grade grade = grade_response(ReasoningTask::custom, gold, response);
            EXPECT_TRUE(grade.is_correct) << gold << ": " << response << to_string(grade.reason);
        }
        EXPECT_EQ(grade_response(ReasoningTask::custom, "B", response).reason, Reason::different)
            << response;
    }
}

TEST(GradeChoices, ALetterBeforeItsReasonIsAnAnswer) {
    for (const char* response : {"The answer is B, because mitochondria make it.",
                                 "The answer is B because A and C are wrong.",
                                 "The answer is B - Mitochondria",
                                 "The answer is B—because it is larger.",
                                 "The answer is B, not C.",
                                 "The correct answer is B, as explained above.",
                                 "**Answer: B** — because it is larger",
                                 "The answer is (B) since it is larger.",
                                 "The answer is B. It is larger than C.",
                                 "B. Mitochondria",
                                 "B - Mitochondria",
                                 "B.\n\nExplanation: A is too small and C is 12.",
                                 "**B**\n\nMitochondria make it."}) {
        for (const char* gold : {"B", "(B)"}) {
            const Grade grade = grade_response(ReasoningTask::custom, gold, response);
            EXPECT_TRUE(grade.is_correct)
                << gold << ": " << response << " " << to_string(grade.reason);
        }
        EXPECT_FALSE(grade_response(ReasoningTask::custom, "C", response).is_correct) << response;
    }
    for (const char* response : {"The answer is B, C",
                                 "The answer is B - A",
                                 "The answer is B - xy",
                                 "The answer is B, or maybe C.",
                                 "The answer is B, wait, it is C.",
                                 "The answer is B, then C.",
                                 "The answer is B, together with D.",
                                 "The answer is B, except when C.",
                                 "The answer is B, which is wrong; it is C.",
                                 "B\n\nOn second thought, choose C."}) {
        EXPECT_FALSE(grade_response(ReasoningTask::custom, "B", response).is_correct) << response;
    }
    // The words of the choice, and a value after it, still count where they are asked for.
    EXPECT_TRUE(
        grade_response(ReasoningTask::custom, "Mitochondria", "B. Mitochondria").is_correct);
    EXPECT_TRUE(grade_response(ReasoningTask::custom, "12", "B\n\nThe value is 12.").is_correct);
    EXPECT_TRUE(
        grade_response(ReasoningTask::custom, "yes", "B. Then it follows.\n\nSo yes.").is_correct);
}

TEST(GradeSentences, WhatOnlySaysWhenIsNotTheAnswer) {
    const auto is_right = [](std::string_view gold, std::string_view response) {
        return grade_response(ReasoningTask::custom, gold, response).is_correct;
    };
    EXPECT_TRUE(is_right("3", "Hence the value of $x$ is $3$ when $y = 2$."));
    EXPECT_TRUE(is_right("12", "The maximum is $12$, at $x = 3$."));
    EXPECT_TRUE(is_right("12", "We get \\(x = 12\\) if \\(y = 3\\) and \\(z = 4\\)."));
    EXPECT_TRUE(is_right("2n", "So the sum is $2n$ for $n > 1$."));
    // What is stated last is the answer still.
    EXPECT_TRUE(is_right("5", "For $x = 2$ the value is $5$."));
    EXPECT_TRUE(is_right("\\frac{3}{56}", "The probability is $p$ where $p = \\frac{3}{56}$."));
    EXPECT_TRUE(is_right("7", "If $x = 2$, for this the result is $7$."));
    EXPECT_TRUE(is_right(
        "24", "The number of eggs is $2 \\times 8 = 16$ for the week, with a total of $16+8=24$."));
    EXPECT_TRUE(is_right("24", "So her cost is \\(16\\) for shirts, for a total of \\(24\\)."));
    EXPECT_TRUE(is_right("8", "The price is $16$ for two, or $8$ each."));
    EXPECT_TRUE(is_right("7", "The minimum is $3$ at one end, with the maximum being $7$."));
    EXPECT_TRUE(is_right("y=2", "We have $x=1$, with $y=2$."));
}

TEST(GradeChoices, AnArticleOfASentenceThatWasCutIsNone) {
    for (const char* response : {"We then have 4. A", "So it is a", "The shape is then a"}) {
        EXPECT_EQ(extract_answer(response, ReasoningTask::custom).source, AnswerSource::none)
            << response;
    }
}

}  // namespace
}  // namespace anamnesis::eval::grading
