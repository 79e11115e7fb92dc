// SPDX-License-Identifier: Apache-2.0
#include "unknown_tokens.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/run.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const language::Tokenizer words = language::Tokenizer::read(
    R"({"added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "<unk>",
                  "vocab": {"<unk>": 0, "the": 1, "number": 2, "is": 3}}})");

/// The lines that the prompts get.
RunRecord ask(std::vector<std::string> prompts) {
    auto left = std::make_shared<std::vector<std::string>>(std::move(prompts));
    const NextItem next = with_unknown_tokens(
        [left]() -> std::optional<Item> {
            if (left->empty()) {
                return std::nullopt;
            }
            Item item{.question = {.id = "q" + std::to_string(left->size()),
                                   .input = left->back(),
                                   .answer_prefix = " is"},
                      .judge = [](const Answer&) { return Json(Json::object()); }};
            left->pop_back();
            return item;
        },
        words);
    RunRecord run;
    while (std::optional<Item> item = next()) {
        Json line = item->judge({});
        line.set("checkpoint", "m");
        line.set("id", item->question.id);
        run.results.push_back(std::move(line));
    }
    return run;
}

TEST(UnknownTokens, AreCountedByPrompt) {
    const auto found = find_unknown_tokens(ask({"the number", "the 7 is 8", "the 9"}));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].prompts, 3U);
    EXPECT_EQ(found[0].with_unknown, 2U);
    EXPECT_EQ(found[0].unknown, 3U);
    EXPECT_THAT(unknown_tokens_text(found), HasSubstr("warning: m: 2 of 3 prompts"));
    const Json json = unknown_tokens_json(found);
    const Json& finding = json.as_array("findings").front();
    EXPECT_EQ(finding.at("code").as_string("code"), "unknown_tokens");
    EXPECT_EQ(finding.at("count").as_unsigned("count"), 2U);
    EXPECT_EQ(finding.at("examples").as_array("examples").size(), 2U);
}

TEST(UnknownTokens, WhereThereAreNoneNothingIsSaid) {
    EXPECT_THAT(find_unknown_tokens(ask({"the number", "number"})), IsEmpty());
}

}  // namespace
}  // namespace anamnesis::eval
