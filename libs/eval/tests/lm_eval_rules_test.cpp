// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/grading/lm_eval_rules.hpp"

#include <cstdio>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/grading/task.hpp"

#include "scoring_goldens.hpp"

namespace anamnesis::eval::grading {
namespace {

using anamnesis::testing::scoring_lines;
using anamnesis::testing::text_at;

std::optional<std::string> maybe(const Json& line, const char* key) {
    const Json& value = line.at(key);
    return value.is_null() ? std::nullopt : std::optional(value.as_string(key));
}

TEST(LmEvalRules, NormaliseEveryGoldenStringAlike) {
    for (const Json& line : scoring_lines("normalize.jsonl")) {
        const std::string& text = text_at(line, "text");
        EXPECT_EQ(hendrycks_strip(text), maybe(line, "hendrycks_strip")) << text;
        EXPECT_EQ(minerva_normalise(text), text_at(line, "minerva_normalize")) << text;
        EXPECT_EQ(hendrycks_last_boxed(text), maybe(line, "last_boxed")) << text;
    }
}

TEST(LmEvalRules, JudgeEveryGoldenPairAlike) {
    int asked_sympy = 0;
    for (const Json& line : scoring_lines("pairs.jsonl")) {
        SCOPED_TRACE(line.at("id").dump());
        const std::string& response = text_at(line, "response");
        const LmEvalVerdicts verdicts = lm_eval_verdicts(
            parse_reasoning_task(text_at(line, "task")), text_at(line, "gold"), response);
        EXPECT_EQ(verdicts.hendrycks, line.at("lm_eval_hendrycks").as_boolean("hendrycks"));
        EXPECT_EQ(verdicts.aime, line.at("lm_eval_aime").as_boolean("aime"));
        EXPECT_EQ(minerva_extract(response), text_at(line, "lm_eval_minerva_extracted"));
        const bool minerva = line.at("lm_eval_minerva").as_boolean("minerva");
        EXPECT_LE(verdicts.minerva_text, minerva);
        asked_sympy += minerva && !verdicts.minerva_text ? 1 : 0;
        if (line.find("lm_eval_gsm8k_strict") == nullptr) {
            continue;
        }
        EXPECT_EQ(gsm8k_strict_extract(response), text_at(line, "lm_eval_gsm8k_strict_extracted"));
        EXPECT_EQ(gsm8k_flexible_extract(response),
                  text_at(line, "lm_eval_gsm8k_flexible_extracted"));
        EXPECT_EQ(gsm8k_cot_strict_extract(response),
                  text_at(line, "lm_eval_gsm8k_cot_strict_extracted"));
        if (text_at(line, "task") == "gsm8k") {
            EXPECT_EQ(verdicts.gsm8k_strict, line.at("lm_eval_gsm8k_strict").as_boolean("strict"));
            EXPECT_EQ(verdicts.gsm8k_flexible,
                      line.at("lm_eval_gsm8k_flexible").as_boolean("flexible"));
            EXPECT_EQ(verdicts.gsm8k_cot_strict,
                      line.at("lm_eval_gsm8k_cot_strict").as_boolean("cot"));
        }
    }
    std::printf("minerva: %d pairs equal by sympy alone\n", asked_sympy);
}

TEST(LmEvalRules, ChainOfThoughtFilterNeedsOneMoreCharacter) {
    EXPECT_EQ(gsm8k_cot_strict_extract("The answer is 18."), "18");
    EXPECT_EQ(gsm8k_cot_strict_extract("The answer is 18"), "1");
    EXPECT_EQ(gsm8k_cot_strict_extract("The answer is 8"), "[invalid]");
    EXPECT_EQ(gsm8k_cot_strict_extract("The answer is -18 apples"), "-18");
}

TEST(LmEvalRules, StripRaisesWherePythonDoes) {
    EXPECT_EQ(hendrycks_strip("x/2"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("2\\sqrt"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("\\frac"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("1\\text{ a}\\text{ b}"), std::nullopt);
    EXPECT_EQ(hendrycks_strip("01/2"), "01/2");
    EXPECT_EQ(hendrycks_strip("1/2"), "\\frac{1}{2}");
    EXPECT_EQ(hendrycks_strip("\\sqrt\xCF\x80"), "\\sqrt{\xCF\x80}");
}

}  // namespace
}  // namespace anamnesis::eval::grading
