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

TEST(GradeChoices, AnArticleOfASentenceThatWasCutIsNone) {
    for (const char* response : {"We then have 4. A", "So it is a", "The shape is then a"}) {
        EXPECT_EQ(extract_answer(response, ReasoningTask::custom).source, AnswerSource::none)
            << response;
    }
}

}  // namespace
}  // namespace anamnesis::eval::grading
