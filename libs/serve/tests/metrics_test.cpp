// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"

#include <chrono>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::serve {
namespace {

using ::testing::HasSubstr;

/// The figure that a sample belongs to: a histogram has samples of three names.
std::string find_family(const std::string& sample) {
    const std::string name = sample.substr(0, sample.find('{'));
    for (const std::string part : {"_bucket", "_sum", "_count"}) {
        if (name.ends_with("_seconds" + part)) {
            return name.substr(0, name.size() - part.size());
        }
    }
    return name;
}

TEST(Metrics, StandTogetherUnderTheTypeOfEachFigure) {
    ModelMetrics first;
    first.new_tokens = 7;
    first.count_answer(language::FinishReason::length);
    first.first_token.add(std::chrono::milliseconds(20));
    ModelMetrics second;
    second.new_tokens = 9;
    const NamedMetrics models[] = {{.model = "a", .metrics = &first},
                                   {.model = "b \"2\"", .metrics = &second}};
    const std::string text = write_metrics(models);
    std::set<std::string> seen;
    std::string family;
    for (const std::string& line : split(text, '\n')) {
        if (line.starts_with("# TYPE ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
            EXPECT_TRUE(seen.insert(family).second) << family;
        } else if (!line.empty() && !line.starts_with("# HELP ")) {
            EXPECT_EQ(find_family(line), family);
        }
    }
    EXPECT_EQ(seen.size(), 13U);
    EXPECT_THAT(text,
                HasSubstr("# TYPE anamnesis_new_tokens_total counter\n"
                          "anamnesis_new_tokens_total{model=\"a\"} 7\n"
                          "anamnesis_new_tokens_total{model=\"b \\\"2\\\"\"} 9\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE anamnesis_prompts_waiting gauge\n"));
    EXPECT_THAT(text, HasSubstr("# TYPE anamnesis_first_token_seconds histogram\n"));
    EXPECT_THAT(text, HasSubstr("anamnesis_first_token_seconds_count{model=\"a\"} 1\n"));
    EXPECT_THAT(text, HasSubstr("anamnesis_answers_total{model=\"a\",finish=\"length\"} 1\n"));
}

}  // namespace
}  // namespace anamnesis::serve
