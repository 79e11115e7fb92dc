// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/language/sampler.hpp"
#include "anamnesis/language/scripted_model.hpp"
#include "anamnesis/language/special_tokens.hpp"
#include "anamnesis/language/text_stream.hpp"

#include "temporary_folder.hpp"

namespace anamnesis::language {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<float> random_logits(Random& random, std::size_t count) {
    std::vector<float> logits(count);
    for (float& logit : logits) {
        logit = static_cast<float>(random.normal());
    }
    return logits;
}

TEST(Sampler, TakesTheLowestIdAmongEquals) {
    Random random(1);
    EXPECT_EQ(choose(std::vector<float>{0.0F, 2.0F, 2.0F}, {}, random), 1);
}

TEST(Sampler, RefusesSettingsThatGreedyDecodingIgnores) {
    EXPECT_NO_THROW(refuse_idle_settings({}));
    EXPECT_NO_THROW(
        refuse_idle_settings({.temperature = 0.5, .top_k = 3, .top_p = 0.9, .seed = 7}));
    for (const auto& [sampling, names] :
         {std::pair(Sampling{.top_k = 3}, "whatever --top-k says"),
          std::pair(Sampling{.top_p = 0.9}, "whatever --top-p says"),
          std::pair(Sampling{.top_p = 0.9, .seed = 7}, "whatever --top-p and --seed say")}) {
        try {
            refuse_idle_settings(sampling);
            ADD_FAILURE() << names;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.message(), ::testing::HasSubstr(names));
        }
    }
}

TEST(Sampler, RefusesNan) {
    Random random(1);
    const std::vector<float> logits{0.0F, std::nanf("")};
    try {
        static_cast<void>(choose(logits, {}, random));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::malformed);
    }
}

TEST(Sampler, DrawsOnlyFromTopKAndTopP) {
    Random random(2);
    for (int round = 0; round < 200; ++round) {
        const std::vector<float> logits = random_logits(random, 101);
        const TokenId best = likeliest(logits);
        EXPECT_EQ(choose(logits, {.temperature = 1.0, .top_k = 1}, random), best);
        EXPECT_EQ(choose(logits, {.temperature = 1.0, .top_p = 1e-9}, random), best);
        const TokenId token = choose(logits, {.temperature = 2.0, .top_k = 5}, random);
        const float value = logits[static_cast<std::size_t>(token)];
        EXPECT_LT(
            std::count_if(logits.begin(), logits.end(), [&](float other) { return other > value; }),
            5);
    }
}

TEST(Sampler, DrawsAsOftenAsProbable) {
    Random random(3);
    const std::vector<float> logits{std::log(0.5F), std::log(0.3F), std::log(0.2F)};
    std::vector<int> counts(3);
    constexpr int draws = 30'000;
    for (int i = 0; i < draws; ++i) {
        ++counts[static_cast<std::size_t>(choose(logits, {.temperature = 1.0}, random))];
    }
    EXPECT_NEAR(counts[0], 0.5 * draws, 600);
    EXPECT_NEAR(counts[2], 0.2 * draws, 600);
}

TEST(Sampler, LogprobsSumToOneFarFromZero) {
    const std::vector<float> logits{1e4F, 1e4F - 1.0F, -1e4F};
    double sum = 0.0;
    for (TokenId token = 0; token < 3; ++token) {
        sum += std::exp(compute_logprob(logits, token));
    }
    EXPECT_NEAR(sum, 1.0, 1e-12);
}

Tokenizer tiny() {
    return Tokenizer::open(std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2");
}

TEST(TextStream, HoldsBackWhatMayBecomeAStopString) {
    const Tokenizer tokenizer = tiny();
    for (const std::string text : {"one STOP two", "STSTOP", "ST and STO", "\xE4\xB8\xADSTOP"}) {
        TextStream stream(tokenizer, {"STOP"});
        std::string given;
        for (const TokenId token : tokenizer.encode(text)) {
            if (!stream.is_stopped()) {
                given += stream.push(token);
                EXPECT_EQ(given.find("STOP"), std::string::npos);
            }
        }
        given += stream.finish();
        EXPECT_EQ(given, text.substr(0, text.find("STOP")));
        EXPECT_EQ(stream.text(), given);
        EXPECT_EQ(stream.is_stopped(), text.find("STOP") != std::string::npos);
    }
}

TEST(TextStream, CountsTheTokensBeforeAStopString) {
    const Tokenizer tokenizer = tiny();
    const std::vector<TokenId> before = tokenizer.encode("1 2");
    const std::vector<TokenId> stop = tokenizer.encode("\n\n");
    TextStream stream(tokenizer, {"\n\n"});
    for (const TokenId token : before) {
        stream.push(token);
    }
    for (const TokenId token : stop) {
        stream.push(token);
    }
    EXPECT_TRUE(stream.is_stopped());
    EXPECT_EQ(stream.tokens_in_text(), before.size());
    EXPECT_THROW(TextStream(tokenizer, {""}), Error);
}

TEST(TextStream, KnowsWhichTokensNoStopStringTakesAway) {
    const Tokenizer tokenizer = tiny();
    const std::vector<TokenId> tokens = tokenizer.encode("one ST and two STOP");
    TextStream plain(tokenizer);
    TextStream stream(tokenizer, {"STOP"});
    std::size_t certain = 0;
    for (const TokenId token : tokens) {
        static_cast<void>(plain.push(token));
        static_cast<void>(stream.push(token));
        EXPECT_GE(stream.certain_tokens(), certain);
        certain = stream.certain_tokens();
        EXPECT_LE(certain, plain.certain_tokens());
    }
    EXPECT_EQ(plain.certain_tokens(), tokens.size());
    ASSERT_TRUE(stream.is_stopped());
    // The last of the text may hold the beginning of the stop string as well.
    EXPECT_LE(certain, stream.tokens_in_text());
    EXPECT_GE(certain + 1, stream.tokens_in_text());
    EXPECT_LT(certain, tokens.size());
}

TEST(TextStream, GoesOnWithTheTextBeforeIt) {
    const Tokenizer tokenizer =
        Tokenizer::open(std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/models/sp_llama");
    const auto stream_world = [&](std::span<const TokenId> before) {
        TextStream stream(tokenizer, {"Hello"}, before);
        std::string text;
        for (const TokenId token : tokenizer.encode("world")) {
            text += stream.push(token);
        }
        text += stream.finish();
        EXPECT_FALSE(stream.is_stopped()) << "a stop string before it is no part of it";
        EXPECT_EQ(stream.text(), text);
        return text;
    };
    EXPECT_EQ(stream_world({}), "world");
    EXPECT_EQ(stream_world(tokenizer.encode("Hello")), " world");
}

TEST(SpecialTokens, AreLookedForInOrder) {
    const testing::TemporaryFolder folder;
    const Json nested = Json::parse(R"({"text_config":{"eos_token_id":7}})");
    EXPECT_THAT(end_of_text_tokens(folder.path(), Json::object()), IsEmpty());
    EXPECT_THAT(end_of_text_tokens(folder.path(), nested), ElementsAre(7));
    folder.write("generation_config.json", R"({"eos_token_id":[5,3,5]})");
    EXPECT_THAT(end_of_text_tokens(folder.path(), nested), ElementsAre(5, 3));
    folder.write("generation_config.json", R"({"eos_token_id":-1})");
    EXPECT_THROW(end_of_text_tokens(folder.path(), nested), Error);
    EXPECT_THAT(end_of_text_tokens(
                    std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2", Json()),
                ElementsAre(420));
}

TEST(ScriptedModel, AnswersStopsAndForks) {
    ScriptedModel model([](std::string_view prompt) { return "to " + std::string(prompt) + "!?"; });
    const auto first = model.start();
    const auto tokens = model.encode("me");
    model.prefill(*first, tokens, {}, {});
    const auto second = first->fork();
    std::string streamed;
    DecodingOptions options;
    options.stop = {"!?"};
    options.on_text = [&](std::size_t sequence, std::string_view text) {
        streamed += sequence == 0 ? text : std::string_view();
    };
    std::vector<Sequence*> both{first.get(), second.get()};
    const std::vector<Generation> answers = model.generate(both, options);
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_EQ(answers[0].text, "to me");
    EXPECT_EQ(answers[1].finish, FinishReason::stop_string);
    EXPECT_EQ(answers[0].tokens.size(), 5U);
    EXPECT_EQ(answers[0].logprobs.size(), 5U);
    EXPECT_EQ(streamed, "to me");
}

TEST(ScriptedModel, EndsByLengthCancelAndItself) {
    ScriptedModel model([](std::string_view) { return "abc"; });
    const auto sequence = model.start();
    std::vector<Sequence*> one{sequence.get()};
    EXPECT_THROW(model.generate(one, {}), Error);
    model.prefill(*sequence, model.encode("x"), {}, {});
    EXPECT_TRUE(model.score(*sequence, model.encode("ab"))[1].is_greedy);
    EXPECT_EQ(model.generate(one, {.max_new_tokens = 2})[0].finish, FinishReason::length);
    EXPECT_EQ(model.generate(one, {})[0].finish, FinishReason::end_of_text);
    std::stop_source source;
    source.request_stop();
    DecodingOptions options;
    options.cancel = source.get_token();
    EXPECT_EQ(model.generate(one, options)[0].finish, FinishReason::cancelled);
}

}  // namespace
}  // namespace anamnesis::language
