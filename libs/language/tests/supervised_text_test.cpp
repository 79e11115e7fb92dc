// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/supervised_text.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "chat_templates.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::language {
namespace {

class SupervisedRows : public ::testing::Test {
protected:
    std::string decode_supervised(const SupervisedText& text) const {
        std::vector<TokenId> tokens;
        for (const std::int64_t label : text.labels) {
            if (label != unsupervised) {
                tokens.push_back(static_cast<TokenId>(label));
            }
        }
        return tokenizer_.decode(tokens, SpecialTokens::keep);
    }

    testing::TemporaryFolder folder_;
    Tokenizer tokenizer_ =
        Tokenizer::open(std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/tiny/qwen2");
    SupervisionRules rules_{.tokenizer = &tokenizer_};
};

TEST_F(SupervisedRows, AskForTheTemplateAtTheFirstRowWrittenInIt) {
    const ChatTemplate chat = ChatTemplate::read(testing::qwen3_template);
    int asked = 0;
    rules_.chat = [&]() -> const ChatTemplate& {
        ++asked;
        return chat;
    };
    rules_.writes_exchanges_as_chats = false;
    const auto read = [&](const char* row) {
        return read_supervised_row(Json::parse(row), rules_);
    };
    EXPECT_EQ(decode_supervised(read(R"({"prompt": "A", "response": "B"})")), "B");
    EXPECT_EQ(decode_supervised(read(R"({"text": "A"})")), "A");
    EXPECT_EQ(asked, 0);
    const std::string turn = decode_supervised(read(R"({"messages": [
        {"role": "user", "content": "A"},
        {"role": "assistant", "reasoning_content": "Hm.", "content": "B"}]})"));
    EXPECT_NE(turn.find("Hm."), std::string::npos) << turn;
    EXPECT_NE(turn.find("B<|im_end|>"), std::string::npos) << turn;
    EXPECT_EQ(asked, 1);
    rules_.writes_exchanges_as_chats = true;
    read(R"({"prompt": "A", "response": "B"})");
    EXPECT_EQ(asked, 2);
}

TEST_F(SupervisedRows, OfAFileAreCutCountedAndNamed) {
    const auto path = folder_.write("rows.jsonl",
                                    "{\"prompt\": \"A prompt that fills it all\", \"response\": "
                                    "\"x\"}\n\n"
                                    "{\"text\": \"some text\"}\n"
                                    "{\"text\": \"more text\", \"id\": 7}\n"
                                    "{\"text\": \"and more\"}\r\n");
    rules_.longest = 3;
    const auto texts = read_supervised_lines(path, rules_, 2);
    ASSERT_EQ(texts.size(), 2U) << "the first has no token to predict within three";
    EXPECT_EQ(texts[0].id, "3") << "the number of its line";
    EXPECT_EQ(texts[1].id, "7");
    EXPECT_EQ(read_supervised_lines(path, rules_).size(), 3U);
    for (const SupervisedText& text : texts) {
        EXPECT_LE(text.ids.size(), 3U);
        EXPECT_EQ(text.ids.size(), text.labels.size());
    }
}

TEST_F(SupervisedRows, ThatAreWrongNameTheirLine) {
    for (const char* wrong : {R"({"txt": "x"})", R"([1])", "{", R"({"text": 3})"}) {
        const auto path =
            folder_.write("wrong.jsonl", std::string("{\"text\": \"fine words\"}\n") + wrong);
        try {
            read_supervised_lines(path, rules_);
            ADD_FAILURE() << wrong;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed) << wrong;
            EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
        }
    }
    const auto empty = folder_.write("empty.jsonl", "\n");
    try {
        read_supervised_lines(empty, rules_);
        ADD_FAILURE() << "a file without rows was read";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::mismatch);
    }
}

TEST_F(SupervisedRows, JoinTheTextsOfContentInParts) {
    const auto read = [&](const char* row) {
        return read_supervised_row(Json::parse(row), rules_);
    };
    EXPECT_EQ(decode_supervised(read(R"({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "A"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "B"}, {"type": "text", "text": "C"}]}]})")),
              "BC");
    EXPECT_THROW(read(R"({"messages": [
        {"role": "user", "content": [{"type": "image"}]}, {"role": "assistant", "content": "B"}]})"),
                 Error);
}

constexpr std::string_view parts_template =
    "{% for m in messages %}<|im_start|>{{ m.role }}:{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for p in m.content %}[{{ p.text }}]{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant:{% endif %}";

TEST_F(SupervisedRows, HandPartsToATemplateThatTakesThem) {
    const char* row = R"({"messages": [
        {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "B"}, {"type": "text", "text": "C"}]}]})";
    const ChatTemplate with_parts = ChatTemplate::read(parts_template);
    EXPECT_TRUE(with_parts.takes_content_parts());
    rules_.chat = [&]() -> const ChatTemplate& { return with_parts; };
    EXPECT_EQ(decode_supervised(read_supervised_row(Json::parse(row), rules_)), "[B][C]<|im_end|>");
    // These print a list as Python writes it, or refuse it: they are given one text.
    for (const char* content : {"{{ m.content }}", "{{ m.content + '' }}"}) {
        const ChatTemplate plain = ChatTemplate::read(
            std::string("{% for m in messages %}<|im_start|>{{ m.role }}:") + content +
            "<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant:{% endif "
            "%}");
        EXPECT_FALSE(plain.takes_content_parts()) << content;
        rules_.chat = [&]() -> const ChatTemplate& { return plain; };
        EXPECT_EQ(decode_supervised(read_supervised_row(Json::parse(row), rules_)), "BC<|im_end|>");
    }
}

TEST_F(SupervisedRows, WithPartsThatAreNoTextNameTheirLine) {
    for (const char* part :
         {R"({"type": "image", "image": "x.png"})", R"({"image": "x.png"})", "3"}) {
        const auto path = folder_.write(
            "parts.jsonl",
            std::string("{\"text\": \"fine words\"}\n{\"messages\": [{\"role\": \"user\", "
                        "\"content\": [") +
                part + "]}, {\"role\": \"assistant\", \"content\": \"B\"}]}\n");
        try {
            read_supervised_lines(path, rules_);
            ADD_FAILURE() << part;
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.what();
            EXPECT_NE(std::string(error.what()).find("line 2"), std::string::npos) << error.what();
            EXPECT_NE(std::string(error.what()).find("only text is learnt"), std::string::npos)
                << error.what();
        }
    }
}

}  // namespace
}  // namespace anamnesis::language
