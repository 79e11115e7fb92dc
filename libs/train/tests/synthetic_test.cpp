// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/synthetic/source.hpp"
#include "anamnesis/train/synthetic/tasks.hpp"
#include "anamnesis/train/synthetic/words.hpp"

namespace anamnesis::train::synthetic {
namespace {

std::vector<std::string> to_words(const language::SupervisedText& sample) {
    std::vector<std::string> text;
    for (const std::int64_t id : sample.ids) {
        text.emplace_back(words()[static_cast<std::size_t>(id)]);
    }
    return text;
}

TEST(SyntheticWords, AreTheTokensOfTheirTokenizer) {
    const language::Tokenizer tokenizer = language::Tokenizer::read(tokenizer_json());
    EXPECT_EQ(tokenizer.vocabulary_size(), words().size());
    for (std::size_t id = 0; id < words().size(); ++id) {
        EXPECT_EQ(tokenizer.find(words()[id]), static_cast<language::TokenId>(id));
    }
    Random random(1);
    const language::SupervisedText sample =
        retrieval(random, {.needle = Needle::s3, .length = 200});
    std::string text;
    for (const std::string& word : to_words(sample)) {
        text += word + " ";
    }
    const auto ids = tokenizer.encode(text);
    EXPECT_EQ(std::vector<std::int64_t>(ids.begin(), ids.end()), sample.ids);
}

TEST(ARetrievalSample, AsksForWhatItsNeedleSays) {
    for (const Needle needle : {Needle::s1, Needle::s2, Needle::s3}) {
        for (std::uint64_t seed = 0; seed < 20; ++seed) {
            Random random(seed);
            const language::SupervisedText sample =
                retrieval(random, {.needle = needle, .length = 256, .needles = 4, .questions = 2});
            ASSERT_EQ(sample.ids.size(), 256U);
            const std::vector<std::string> text = to_words(sample);
            const std::size_t symbols = needle == Needle::s3 ? 6 : 4;
            std::size_t answers = 0;
            for (std::size_t i = 0; i + 7 < text.size(); ++i) {
                if (text[i] != "question") {
                    continue;
                }
                const std::vector<std::string> asked(
                    text.begin() + static_cast<long>(i) + 2,
                    text.begin() + static_cast<long>(i) + 8 + static_cast<long>(symbols));
                std::size_t found = 0;
                for (std::size_t j = 0; j < i; ++j) {
                    found +=
                        std::equal(asked.begin(), asked.end(), text.begin() + static_cast<long>(j));
                }
                EXPECT_GE(found, 1U);
                ++answers;
            }
            EXPECT_EQ(answers, 2U);
            std::size_t weighed = 0;
            for (std::size_t i = 0; i < sample.ids.size(); ++i) {
                weighed += sample.labels[i] != no_label && sample.weights[i] == 1.0F;
            }
            EXPECT_EQ(weighed, 2 * symbols);
        }
    }
    Random random(0);
    EXPECT_THROW(retrieval(random, {.length = 20}), Error);
}

TEST(ValuesOfNeedles, AreWrittenInSymbolsThatNothingElseUses) {
    const auto is_symbol = [](std::int64_t id) {
        return id >= symbols().first &&
               id < symbols().first + static_cast<std::int64_t>(symbols().count);
    };
    Random random(3);
    const language::SupervisedText needles =
        retrieval(random, {.needle = Needle::s3, .length = 256, .needles = most_needles});
    EXPECT_EQ(std::ranges::count_if(needles.ids, is_symbol), 6 * (most_needles + 1));
    for (std::size_t i = 0; i < needles.ids.size(); ++i) {
        EXPECT_TRUE(needles.weights[i] != 1.0F || needles.labels[i] == no_label ||
                    is_symbol(needles.labels[i]));
    }
    for (const language::SupervisedText& other : {chain_of_thought(random),
                                                  instruction(random),
                                                  lookup(random),
                                                  arithmetic(random, 64, Chain::spaced)}) {
        EXPECT_EQ(std::ranges::count_if(other.ids, is_symbol), 0);
    }
}

TEST(AChainOfThought, AddsUpToItsAnswer) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Random random(seed);
        const std::vector<std::string> text = to_words(chain_of_thought(random));
        int total = 0;
        std::size_t i = 0;
        while (text[i] != ":") {
            ++i;
        }
        for (++i; text[i] != "answer"; i += 12) {
            const int value = std::stoi(text[i + 2]);
            bool is_stated = false;
            for (std::size_t j = 0; j + 2 < text.size() && text[j] != ":"; ++j) {
                is_stated = is_stated || (text[j] == text[i] && text[j + 2] == text[i + 2]);
            }
            EXPECT_TRUE(is_stated);
            total += value;
            EXPECT_EQ(std::stoi(text[i + 9] + text[i + 10]), total);
        }
        EXPECT_EQ(std::stoi(text[i + 1] + text[i + 2]), total);
    }
}

TEST(ASyntheticSource, DependsOnSeedAndStepAlone) {
    const std::vector<Stage> stages{{.steps = 12, .rows = 2, .length = 64},
                                    {.steps = 12, .rows = 3, .length = 96}};
    const SyntheticSource one(Task::mix, stages, 7);
    const SyntheticSource same(Task::mix, stages, 7);
    const SyntheticSource other(Task::mix, stages, 8);
    EXPECT_EQ(one.steps(), 24U);
    for (const std::uint64_t step : {23U, 0U, 5U, 12U}) {
        EXPECT_EQ(one.batches(step).front().ids, same.batches(step).front().ids);
        EXPECT_NE(one.batches(step).front().ids, other.batches(step).front().ids);
    }
    EXPECT_NE(one.batches(0).front().ids, one.batches(12).front().ids);
    EXPECT_THROW(parse_task("poetry"), Error);
    EXPECT_THROW(parse_stage("150x32"), Error);
    EXPECT_THROW(parse_stage("150x32x"), Error);
    EXPECT_EQ(parse_stage("150x32x64").length, 64U);
    EXPECT_THROW(SyntheticSource(Task::cot, {}, 0), Error);
}

}  // namespace
}  // namespace anamnesis::train::synthetic
