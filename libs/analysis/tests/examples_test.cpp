// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/analysis/examples.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "chat_templates.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::analysis {
namespace {

using language::ChatTemplate;

class Examples : public ::testing::Test {
protected:
    std::vector<Example> read(const std::string& lines,
                              const ExampleOptions& options = {},
                              std::string_view chat = testing::chatml_template) {
        const auto path = folder_.write("data.jsonl", lines);
        return read_examples(
            path, tokenizer_, [chat] { return ChatTemplate::read(chat); }, options);
    }

    /// The text of the tokens that carry the loss.
    std::string supervised(const LabelledText& text) {
        std::vector<language::TokenId> tokens;
        for (std::size_t t = 0; t < text.ids.size(); ++t) {
            EXPECT_TRUE(text.labels[t] == unsupervised || text.labels[t] == text.ids[t]);
            if (text.labels[t] != unsupervised) {
                tokens.push_back(static_cast<language::TokenId>(text.ids[t]));
            }
        }
        return tokenizer_.decode(tokens, language::SpecialTokens::keep);
    }

    std::string whole(const LabelledText& text) {
        const std::vector<language::TokenId> tokens(text.ids.begin(), text.ids.end());
        return tokenizer_.decode(tokens, language::SpecialTokens::keep);
    }

    testing::TemporaryFolder folder_;
    language::Tokenizer tokenizer_ = language::Tokenizer::open(
        std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2");
};

TEST_F(Examples, PutTheLossOnResponses) {
    const auto examples = read(R"({"id": 7, "prompt": "Two and two?", "response": " Four."})"
                               "\n\n"
                               R"({"text": "All of it."})");
    ASSERT_EQ(examples.size(), 2U);
    EXPECT_EQ(examples[0].id, "7");
    EXPECT_EQ(whole(examples[0].text), "Two and two? Four.");
    EXPECT_EQ(supervised(examples[0].text), " Four.");
    EXPECT_EQ(examples[1].id, "3") << "the number of its line";
    EXPECT_EQ(supervised(examples[1].text), "All of it.");
}

TEST_F(Examples, PutTheLossOnEveryTurnOfTheAssistant) {
    const auto examples = read(
        R"({"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"},)"
        R"( {"role": "user", "content": "C"}, {"role": "assistant", "content": "D"}]})");
    const LabelledText& text = examples.at(0).text;
    EXPECT_EQ(whole(text),
              "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n"
              "<|im_start|>user\nC<|im_end|>\n<|im_start|>assistant\nD<|im_end|>\n");
    EXPECT_EQ(supervised(text), "B<|im_end|>\nD<|im_end|>\n");
    EXPECT_EQ(
        supervised(
            read(R"({"prompt": "X", "response": "Y"})", {.supervises_prompts = true}).at(0).text),
        "XY");
}

TEST_F(Examples, ComeInEveryFormThatTrainingTakes) {
    const auto examples =
        read(R"({"prompt": "A", "completion": "B"})"
             "\n"
             R"({"instruction": "A", "input": "", "output": "B"})"
             "\n"
             R"({"question": "A", "answer": "B"})"
             "\n"
             R"({"input_ids": [5, 6, 7, 8], "labels": [-100, -100, 7, -100]})"
             "\n"
             R"({"conversations": [{"from": "human", "value": "A"},)"
             R"( {"from": "gpt", "value": "B"}, {"from": "human", "value": "C"}]})");
    ASSERT_EQ(examples.size(), 5U);
    for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(whole(examples[i].text), "AB") << i;
        EXPECT_EQ(supervised(examples[i].text), "B") << i;
    }
    EXPECT_EQ(examples[3].text.ids, (std::vector<std::int64_t>{5, 6, 7}))
        << "what follows the last label has no part in the loss";
    EXPECT_EQ(supervised(examples[4].text), "B<|im_end|>\n");
    EXPECT_EQ(whole(examples[4].text),
              "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\nB<|im_end|>\n");
    try {
        read(R"({"input_ids": [5, 6], "weights": [1, 0.5]})");
        ADD_FAILURE() << "weights were left out of the loss";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
    }
}

TEST_F(Examples, AreCutAndCountedAsAsked) {
    const std::string line = R"({"prompt": "A long prompt, which fills it.", "response": "No."})";
    EXPECT_THROW(read(line, {.most_tokens = 4}), Error) << "nothing is left to predict";
    const auto cut = read(R"({"text": "A text that is longer than that."})", {.most_tokens = 4});
    EXPECT_EQ(cut.at(0).text.ids.size(), 4U);
    EXPECT_EQ(cut.at(0).text.labels.size(), 4U);
    const std::string three = line + "\n" + line + "\n" + line;
    EXPECT_EQ(read(three, {.most_examples = 2}).size(), 2U);
}

TEST_F(Examples, NameTheLineThatIsWrong) {
    for (const std::string wrong : {R"({"words": "x"})",
                                    R"({"prompt": "x"})",
                                    R"({"text": 3})",
                                    R"({"messages": "x"})",
                                    R"({"messages": [{"role": "user"}]})",
                                    R"([1])",
                                    "{"}) {
        try {
            read(R"({"text": "fine"})"
                 "\n" +
                 wrong);
            ADD_FAILURE() << wrong;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed) << wrong;
            EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
        }
    }
}

}  // namespace
}  // namespace anamnesis::analysis
