// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/supervised_text.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/train/batch.hpp"
#include "anamnesis/train/samples_source.hpp"
#include "anamnesis/train/synthetic/words.hpp"
#include "anamnesis/train/training_data.hpp"

#include "chat_templates.hpp"

namespace anamnesis::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Words of the synthetic language and ChatML's marks.
struct Rows : ::testing::Test {
    language::Tokenizer tokenizer = language::Tokenizer::read(synthetic::tokenizer_json());
    language::SupervisionRules rules{.tokenizer = &tokenizer};

    language::SupervisedText sample(const std::string& row) const {
        return language::read_supervised_row(Json::parse(row), rules);
    }

    /// The text whose tokens are learned.
    std::string learned(const language::SupervisedText& sample) const {
        std::vector<language::TokenId> ids;
        for (const std::int64_t label : sample.labels) {
            if (label != no_label) {
                ids.push_back(static_cast<language::TokenId>(label));
            }
        }
        return tokenizer.decode(ids);
    }
    std::string read(const language::SupervisedText& sample) const {
        const std::vector<language::TokenId> ids(sample.ids.begin(), sample.ids.end());
        return tokenizer.decode(ids);
    }
};

TEST_F(Rows, OfEveryUsualFormGivePromptAndResponse) {
    for (const std::string row :
         {R"({"prompt": "find the dog", "response": "the dog is here"})",
          R"({"prompt": "find the dog", "completion": "the dog is here"})",
          R"({"question": "find the dog", "answer": "the dog is here"})",
          R"({"instruction": "find", "input": "the dog", "output": "the dog is here"})",
          R"({"messages": [{"role": "user", "content": "find the dog"},
                           {"role": "assistant", "content": "the dog is here"}]})",
          R"({"conversations": [{"from": "human", "value": "find the dog"},
                                {"from": "gpt", "value": "the dog is here"}]})"}) {
        SCOPED_TRACE(row);
        const language::SupervisedText one = sample(row);
        EXPECT_EQ(read(one), "find the dog the dog is");  // "here" is <unk>, a special token
        EXPECT_EQ(learned(one), "the dog is");
        EXPECT_EQ(one.ids.size(), one.labels.size());
        EXPECT_EQ(one.ids.size(), 8U);
        EXPECT_EQ(one.ids.front(), synthetic::find_word_id("<bos>"));
    }
}

TEST_F(Rows, OfTextAreLearnedWhole) {
    const language::SupervisedText one = sample(R"({"text": "the dog sees the cat"})");
    EXPECT_EQ(learned(one), "the dog sees the cat");
}

TEST_F(Rows, OfReadyIdsAreTakenAsTheyAre) {
    const language::SupervisedText one =
        sample(R"({"input_ids": [5, 6, 7], "labels": [-100, -100, 7]})");
    EXPECT_EQ(one.ids, (std::vector<std::int64_t>{5, 6, 7}));
    EXPECT_EQ(one.labels, (std::vector<std::int64_t>{-100, -100, 7}));
    EXPECT_THROW(sample(R"({"input_ids": [5, 6], "labels": [1]})"), Error);
    EXPECT_THROW(sample(R"({"input_ids": ["a"]})"), Error);
    const language::SupervisedText weighted =
        sample(R"({"input_ids": [5, 6, 7], "weights": [0, 0.5, 1]})");
    EXPECT_EQ(weighted.weights, (std::vector<float>{0.0F, 0.5F, 1.0F}));
    EXPECT_THROW(sample(R"({"input_ids": [5, 6], "weights": [1]})"), Error);
    EXPECT_THROW(sample(R"({"input_ids": [5, 6], "weights": [1, -1]})"), Error);
}

TEST_F(Rows, LearnPromptsOnRequestAndEndWithTheEnd) {
    rules.supervises_prompts = true;
    rules.end_of_text = static_cast<language::TokenId>(synthetic::find_word_id("."));
    const language::SupervisedText one =
        sample(R"({"prompt": "find the dog", "response": "the dog"})");
    EXPECT_EQ(learned(one), "find the dog the dog .");
}

TEST_F(Rows, WithoutAnyKnownKeyAreRefused) {
    EXPECT_THROW(sample(R"({"txt": "the dog"})"), Error);
    EXPECT_THROW(sample(R"({"messages": [{"role": "user"}]})"), Error);
    rules.tokenizer = nullptr;
    EXPECT_THROW(sample(R"({"text": "the dog"})"), Error);
}

TEST(ConversationsInATemplate, LearnTheAssistantsTurnsAlone) {
    // Text in the template's words, by a tokenizer of single characters would be long: a stand-in
    // vocabulary holds the words that occur.
    const language::Tokenizer words = language::Tokenizer::read(R"({"added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0,
          "<|im_start|>user": 1, "<|im_start|>assistant": 2, "one<|im_end|>": 3,
          "two<|im_end|>": 4, "three<|im_end|>": 5, "four<|im_end|>": 6}}})");
    const auto chatml = language::ChatTemplate::read(testing::chatml_template);
    const language::SupervisionRules rules{
        .tokenizer = &words, .chat = [&]() -> const language::ChatTemplate& { return chatml; }};
    const language::SupervisedText one = language::read_supervised_row(Json::parse(R"({"messages": [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"}, {"role": "assistant", "content": "four"}]})"),
                                                                       rules);
    EXPECT_EQ(one.ids, (std::vector<std::int64_t>{1, 3, 2, 4, 1, 5, 2, 6}));
    EXPECT_EQ(one.labels, (std::vector<std::int64_t>{-100, -100, -100, 4, -100, -100, -100, 6}));
}

TEST(SetSources, TellsTasksFromFiles) {
    TrainingData data;
    set_sources(data, {"synthetic:mix"});
    EXPECT_TRUE(data.task.has_value());
    EXPECT_THAT(describe_data(data), ElementsAre("synthetic:mix"));
    set_sources(data, {"a.jsonl", "b.jsonl"});
    EXPECT_FALSE(data.task.has_value());
    EXPECT_THAT(describe_data(data), ElementsAre("a.jsonl", "b.jsonl"));
    EXPECT_EQ(describe_replay(parse_replay("c.jsonl", 3)), "c.jsonl");
    EXPECT_EQ(describe_replay(parse_replay("synthetic:mix", 3)), "synthetic:mix");
    EXPECT_THROW(set_sources(data, {"synthetic:nothing"}), Error);
}

TEST(SetSources, TakesNothingBesideATask) {
    TrainingData data;
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"a.jsonl", "synthetic:mix"},
          std::vector<std::string>{"synthetic:cot", "synthetic:mix"}}) {
        try {
            set_sources(data, words);
            ADD_FAILURE() << words.front() << " was taken beside a task";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage);
            EXPECT_THAT(error.message(), HasSubstr("given 2 times"));
            EXPECT_THAT(error.message(), HasSubstr("--replay"));
        }
    }
}

TEST(ACourse, TakesAtLeastOneStep) {
    const auto checkpoint = checkpoint::Checkpoint::open(std::filesystem::path(ANAMNESIS_TESTDATA) /
                                                         "training" / "qwen3" / "initial");
    const LearningModel model{.checkpoint = checkpoint, .vocabulary = 64};
    TrainingData data;
    set_sources(data, {"synthetic:mix"});
    data.stages = {{.steps = 3, .rows = 1, .length = 64}};
    EXPECT_EQ(make_course(data, std::nullopt, model).steps, 3U);
    EXPECT_EQ(make_course(data, 1, model).steps, 1U);
    try {
        static_cast<void>(make_course(data, 0, model));
        ADD_FAILURE() << "a run of no steps was made";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.message(), HasSubstr("--steps is 0"));
    }
}

std::vector<language::SupervisedText> numbered_samples(std::size_t count) {
    std::vector<language::SupervisedText> samples;
    for (std::size_t i = 0; i < count; ++i) {
        const std::vector<std::int64_t> ids(2 + i % 5, static_cast<std::int64_t>(i));
        samples.push_back({.ids = ids, .labels = ids});
    }
    return samples;
}

TEST(SamplesSource, ShowsEverySampleOnceAnEpochInAnOrderOfItsOwn) {
    const SamplesSource source(numbered_samples(24), {.rows = 4, .accumulated = 2, .seed = 3});
    std::vector<std::vector<std::int64_t>> epochs(2);
    for (std::uint64_t step = 0; step < 6; ++step) {
        for (const Batch& batch : source.batches(step)) {
            for (std::size_t row = 0; row < batch.rows; ++row) {
                epochs[step / 3].push_back(batch.ids[row * batch.length]);
            }
        }
    }
    for (const auto& epoch : epochs) {
        EXPECT_EQ(std::set<std::int64_t>(epoch.begin(), epoch.end()).size(), 24U);
    }
    EXPECT_NE(epochs[0], epochs[1]);
}

TEST(SamplesSource, FillsUpShorterRowsWithoutSupervision) {
    const SamplesSource source(numbered_samples(20), {.rows = 5});
    for (const Batch& batch : source.batches(0)) {
        for (std::size_t row = 0; row < batch.rows; ++row) {
            const auto id = batch.ids[row * batch.length];
            const auto length = static_cast<std::size_t>(2 + id % 5);
            for (std::size_t t = 0; t < batch.length; ++t) {
                EXPECT_EQ(batch.labels[row * batch.length + t], t < length ? id : no_label);
            }
        }
    }
}

TEST(SamplesSource, PacksWholeSamplesBetweenBoundaries) {
    const SamplesSource source(numbered_samples(23), {.rows = 1, .packed_length = 12, .seed = 1});
    std::size_t seen = 0;
    for (std::uint64_t step = 0; step < source.units(); ++step) {
        for (const Batch& batch : source.batches(step)) {
            EXPECT_LE(batch.length, 12U);
            EXPECT_EQ(batch.boundaries.back(), static_cast<std::int64_t>(batch.length));
            for (std::size_t i = 0; i + 1 < batch.boundaries.size(); ++i) {
                const auto begin = static_cast<std::size_t>(batch.boundaries[i]);
                const auto end = static_cast<std::size_t>(batch.boundaries[i + 1]);
                const std::int64_t id = batch.ids[begin];
                EXPECT_EQ(end - begin, static_cast<std::size_t>(2 + id % 5));
                EXPECT_TRUE(std::ranges::all_of(std::span(batch.ids).subspan(begin, end - begin),
                                                [&](std::int64_t other) { return other == id; }));
                ++seen;
            }
        }
    }
    EXPECT_EQ(seen, 23U);
    EXPECT_THROW(SamplesSource(numbered_samples(9), {.packed_length = 3}), Error);
}

}  // namespace
}  // namespace anamnesis::train
