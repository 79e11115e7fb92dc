// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/engine_check.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/language/tokenizer.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Answers as a function says; `seen` holds the inputs before it.
class FakeEngine final : public BackEnd {
public:
    using Script = std::function<std::string(const Question&, const std::set<std::string>& seen)>;
    explicit FakeEngine(Script script) : script_(std::move(script)) {}

    void answer(const Next& next, const Take& take, const std::stop_token& /*cancel*/) override {
        while (const std::optional<Question> question = next()) {
            take.answered(*question, {.text = script_(*question, seen_)});
            seen_.insert(question->input);
        }
    }
    std::optional<std::size_t> context_length() const override { return std::nullopt; }
    Json description() const override { return Json::object(); }

private:
    Script script_;
    std::set<std::string> seen_;
};

class EngineChecks : public ::testing::Test {
protected:
    /// The names of the checks that fail.
    std::vector<std::string> failures(FakeEngine::Script script) {
        FakeEngine engine(std::move(script));
        std::vector<std::string> names;
        for (const EngineCheck& check : check_engine(
                 engine,
                 {{.id = "a", .input = "one two three four"}, {.id = "b", .input = "five six"}},
                 {{.id = "c", .input = "a long long long text"}},
                 tokenizer_,
                 {})) {
            if (!check.is_passed) {
                names.push_back(check.name);
                details_ += check.detail + "\n";
            }
        }
        return names;
    }

    language::Tokenizer tokenizer_ =
        language::Tokenizer::open(std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2");
    std::string details_;
};

TEST_F(EngineChecks, PassASteadyEngine) {
    EXPECT_THAT(failures([](const Question& question, const auto&) {
                    return "the answer to " + question.input;
                }),
                IsEmpty());
}

TEST_F(EngineChecks, FindAWarmCacheThatGoesWrongAndSayWhere) {
    EXPECT_THAT(failures([](const Question& question, const auto& seen) {
                    const bool is_warm =
                        question.cache == CacheUse::allowed && seen.contains(question.input);
                    return std::string(is_warm ? "the cat" : "the dog");
                }),
                ElementsAre("a warm cache gives the answers of a cold one",
                            "prompts read in pieces get the answers of prompts read whole",
                            "the same long prompt twice gives the same answer"));
    EXPECT_THAT(details_, HasSubstr("2 of 2 answers differ; a, token "));
}

TEST_F(EngineChecks, FindAStateThatIsWrongAfterAPiece) {
    EXPECT_THAT(failures([](const Question& question, const auto& seen) {
                    // The first half was read before, and this engine goes on from it.
                    const bool goes_on = question.cache == CacheUse::allowed &&
                                         seen.contains("one two three") &&
                                         question.input == "one two three four";
                    return std::string(goes_on ? "wrong" : "right");
                }),
                ElementsAre("prompts read in pieces get the answers of prompts read whole"));
}

TEST_F(EngineChecks, FindLoopsThatOnlyLongPromptsMake) {
    EXPECT_THAT(failures([](const Question& question, const auto&) {
                    return question.input.size() > 20 ? std::string(64, '?') : std::string("fine");
                }),
                ElementsAre("answers to long prompts are no loops"));
}

TEST_F(EngineChecks, AskColdPromptsWithASaltOfTheirOwn) {
    std::set<std::string> salts;
    failures([&](const Question& question, const auto&) {
        if (question.cache == CacheUse::forbidden) {
            EXPECT_TRUE(salts.insert(question.id).second) << question.id;
        }
        return std::string("fine");
    });
    EXPECT_GT(salts.size(), 5U);
}

}  // namespace
}  // namespace anamnesis::eval
