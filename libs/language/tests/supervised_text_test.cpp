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

TEST_F(SupervisedRows, WithoutMessagesAreRefusedUnlessTheyHaveAnotherForm) {
    for (const char* key : {"messages", "conversations"}) {
        try {
            read_supervised_row(Json::Object{{key, Json::array()}}, rules_);
            ADD_FAILURE() << key << " without messages was read";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::malformed);
            EXPECT_NE(error.message().find(std::string("'") + key + "' is an empty list"),
                      std::string::npos)
                << error.message();
        }
    }
    const char* both = R"({"messages": [], "prompt": "A", "response": "B"})";
    EXPECT_EQ(decode_supervised(read_supervised_row(Json::parse(both), rules_)), "B");
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

TEST_F(SupervisedRows, TakeTheFormsThatDataSetsHave) {
    const auto learned = [&](const char* row) {
        return decode_supervised(read_supervised_row(Json::parse(row), rules_));
    };
    // ShareGPT's kin, whose roles and keys are mixed.
    EXPECT_EQ(learned(R"({"conversations": [{"from": "human", "value": "A"},
        {"from": "chatgpt", "value": "B"}, {"role": "user", "content": "C"},
        {"from": "model", "value": "D"}]})"),
              "BD");
    // OpenAI's weights, Axolotl's switches.
    EXPECT_EQ(learned(R"({"messages": [{"role": "user", "content": "A"},
        {"role": "assistant", "content": "B", "weight": 0}, {"role": "user", "content": "C"},
        {"role": "assistant", "content": "D", "weight": 1}, {"role": "user", "content": "E"},
        {"role": "assistant", "content": "F", "train": false}]})"),
              "D");
    // TRL's lists of messages: the prompt's own answers are read only.
    EXPECT_EQ(learned(R"({"prompt": [{"role": "user", "content": "A"},
        {"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}],
        "completion": [{"role": "assistant", "content": "D"}]})"),
              "D");
    // Alpaca's further columns.
    const SupervisedText text = read_supervised_row(
        Json::parse(R"({"system": "S", "instruction": "C", "input": "", "output": "D",
                        "history": [["A", "B"]]})"),
        rules_);
    EXPECT_EQ(decode_supervised(text), "BD");
    std::vector<TokenId> ids;
    for (const std::int64_t id : text.ids) {
        ids.push_back(static_cast<TokenId>(id));
    }
    EXPECT_EQ(tokenizer_.decode(ids, SpecialTokens::keep), "SABCD");
}

TEST_F(SupervisedRows, TakeMasksBesideReadyTokens) {
    const auto read = [&](const char* row) {
        return read_supervised_row(Json::parse(row), rules_);
    };
    using Ids = std::vector<std::int64_t>;
    for (const char* mask : {"completion_mask", "assistant_masks", "loss_mask"}) {
        const Json row = Json::Object{{"input_ids", Json::parse("[1, 2, 3]")},
                                      {mask, Json::parse("[0, 1, true]")}};
        EXPECT_EQ(read_supervised_row(row, rules_).labels, (Ids{-100, 2, 3})) << mask;
    }
    const SupervisedText padded = read(R"({"input_ids": [0, 0, 5, 6, 7, 0],
        "labels": [-100, -100, -100, 6, 7, -100], "attention_mask": [0, 0, 1, 1, 1, 0]})");
    EXPECT_EQ(padded.ids, (Ids{5, 6, 7}));
    EXPECT_EQ(padded.labels, (Ids{-100, 6, 7}));
    EXPECT_THROW(read(R"({"input_ids": [1, 2, 3], "attention_mask": [1, 0, 1]})"), Error);
    EXPECT_THROW(read(R"({"input_ids": [1, 2, 3], "attention_mask": [0, 0, 0]})"), Error);
    EXPECT_THROW(read(R"({"input_ids": [1, 2, 3], "loss_mask": [1, 1]})"), Error);
    EXPECT_THROW(read(R"({"input_ids": [1, 2, 3], "position_ids": [0, 1, 0]})"), Error);
}

TEST_F(SupervisedRows, RefuseWhatWouldBeLeftOut) {
    const auto failure = [&](const char* row) {
        try {
            read_supervised_row(Json::parse(row), rules_);
        } catch (const Error& error) {
            return error.message();
        }
        return std::string("nothing was refused");
    };
    const auto expect = [&](const char* row, const char* words) {
        EXPECT_NE(failure(row).find(words), std::string::npos) << row << ": " << failure(row);
    };
    const char* thinking = R"({"messages": [{"role": "user", "content": "A"},
        {"role": "assistant", "reasoning_content": "Hm.", "content": "B"}]})";
    const char* calling = R"({"messages": [{"role": "user", "content": "A"},
        {"role": "assistant", "content": null,
         "tool_calls": [{"function": {"name": "add_up", "arguments": "{}"}}]}]})";
    const char* tools = R"({"tools": [{"name": "add_up"}], "messages": [
        {"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]})";
    expect(R"({"messages": [{"role": "narrator", "content": "A"}]})", "'narrator'");
    expect(R"({"messages": [{"role": "assistant", "content": "A", "weight": 0.5}]})", "0 or 1");
    expect(R"({"history": [["A"]], "instruction": "C", "output": "D"})", "'history'");
    expect(thinking, "--chat");
    expect(R"({"messages": [{"role": "user", "content": "A"},
        {"role": "assistant", "thinking": "Hm.", "content": "B"}]})",
           "--chat");
    expect(R"({"messages": [{"role": "assistant", "content": "",
                             "function_call": {"name": "add_up", "arguments": "{}"}}]})",
           "--chat");
    expect(calling, "--chat");
    expect(tools, "--chat");

    const auto in = [&](const std::string& of_message, const std::string& prompt) {
        const ChatTemplate chat = ChatTemplate::read(
            "{% for m in messages %}<|im_start|>{{ m.role }}:" + of_message +
            "<|im_end|>{% endfor %}{% if add_generation_prompt %}" + prompt + "{% endif %}");
        rules_.chat = [chat]() -> const ChatTemplate& { return chat; };
    };
    const std::string contents = "{{ m.content or '' }}";
    in(contents, "<|im_start|>assistant:");
    expect(thinking, "'reasoning_content'");
    expect(calling, "'tool_calls'");
    // Its prompt begins a thought that is in none of its turns.
    in(contents, "<|im_start|>assistant:<think>");
    expect(R"({"prompt": "A", "response": "B"})", "otherwise than it is given");
    // It drops what is thought, as those of reasoning models do.
    in("{{ m.content.split('</think>')[-1] }}", "<|im_start|>assistant:");
    expect(R"({"prompt": "A", "response": "<think>Hm.</think>B"})", "otherwise than it is given");
    EXPECT_EQ(failure(R"({"prompt": "A", "response": "B"})"), "nothing was refused");
    in("{{ m.content or '' }}{{ m.tool_calls or '' }}{{ m.reasoning_content or '' }}",
       "<|im_start|>assistant:");
    EXPECT_EQ(failure(calling), "nothing was refused");
    EXPECT_EQ(failure(tools), "nothing was refused");
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
