// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/language/chat_template.hpp"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "chat_templates.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::language {
namespace {

using ::testing::HasSubstr;

const std::filesystem::path shared = std::filesystem::path(ANAMNESIS_SHARED) / "data";

std::vector<ChatMessage> read_messages(const Json& line) {
    std::vector<ChatMessage> messages;
    for (const Json& message : line.at("messages").as_array("messages")) {
        messages.push_back({.role = message.at("role").as_string("role"),
                            .content = message.at("content").as_string("content")});
    }
    return messages;
}

RenderOptions read_options(const Json& line) {
    RenderOptions options;
    options.add_generation_prompt =
        line.at("add_generation_prompt").as_boolean("add_generation_prompt");
    if (const Json* thinking = line.find("enable_thinking")) {
        options.enable_thinking = thinking->as_boolean("enable_thinking");
    }
    return options;
}

TEST(ChatTemplate, RendersAsTheReference) {
    std::ifstream file(std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/chat.jsonl");
    const bool has_large = std::filesystem::exists(shared / "tokenizers/qwen2.5/tokenizer.json");
    std::optional<Tokenizer> tokenizer;
    if (has_large) {
        tokenizer.emplace(Tokenizer::open(shared / "tokenizers/qwen2.5"));
    }
    const ChatTemplate qwen3 = ChatTemplate::read(testing::qwen3_template);
    std::optional<ChatTemplate> qwen2_5;
    if (has_large) {
        qwen2_5 = ChatTemplate::open(shared / "tokenizers/qwen2.5");
    }
    std::string text;
    int lines = 0;
    while (std::getline(file, text)) {
        ++lines;
        const Json line = Json::parse(text);
        const bool is_qwen3 = line.at("template") == Json("qwen3");
        const RenderOptions options = read_options(line);
        if (!is_qwen3 && !qwen2_5) {
            continue;
        }
        const std::string rendered =
            (is_qwen3 ? qwen3 : *qwen2_5).render(read_messages(line), options);
        EXPECT_EQ(rendered, line.at("text").as_string("text")) << "line " << lines;
        if (tokenizer && line.find("ids") != nullptr) {
            std::vector<TokenId> ids;
            for (const Json& id : line.at("ids").as_array("ids")) {
                ids.push_back(static_cast<TokenId>(id.as_integer("id")));
            }
            EXPECT_EQ(tokenizer->encode(rendered), ids) << "line " << lines;
        }
    }
    EXPECT_EQ(lines, 192);
}

TEST(ChatTemplate, ReadsPlainChatmlFromTheTokenizersConfig) {
    const testing::TemporaryFolder folder;
    Json config = Json::object();
    config.set("chat_template",
               "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + "
               "message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if "
               "add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
    folder.write("tokenizer_config.json", config.dump());
    const ChatTemplate chatml = ChatTemplate::open(folder.path());
    EXPECT_EQ(chatml.render(std::vector<ChatMessage>{{.role = "user", .content = "Hi"}}),
              "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, ThatIsNotThereIsMissedWithAdvice) {
    const testing::TemporaryFolder folder;
    try {
        static_cast<void>(ChatTemplate::open(folder.path(), "give --plain"));
        ADD_FAILURE() << "a template came out of an empty folder";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::not_found);
        EXPECT_THAT(error.message(), HasSubstr("holds no chat template (chat_template.jinja"));
        EXPECT_TRUE(error.message().ends_with("; give --plain")) << error.message();
    }
}

TEST(ChatTemplate, RefusesWhatItDoesNotKnowByFileAndLine) {
    const testing::TemporaryFolder folder;
    folder.write("chat_template.jinja", "{{ bos_token }}\n{{ messages | urlize }}");
    try {
        static_cast<void>(ChatTemplate::open(folder.path()));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.what(), HasSubstr("chat_template.jinja"));
        EXPECT_THAT(error.what(), HasSubstr("line 2: the filter 'urlize' is not supported"));
    }
}

TEST(ChatTemplate, RefusesAChatInTheTemplatesWords) {
    const std::vector<ChatMessage> messages{{.role = "tool", .content = "x"}};
    try {
        static_cast<void>(ChatTemplate::read(testing::qwen3_template).render(messages));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage);
        EXPECT_THAT(error.what(), HasSubstr("refuses this chat: unknown role tool"));
    }
}

TEST(ChatTemplate, TakesReasoningThatIsKeptApart) {
    const std::vector<ChatMessage> messages{
        {.role = "user", .content = "q"},
        {.role = "assistant", .content = "a", .reasoning_content = "why"}};
    EXPECT_EQ(ChatTemplate::read(testing::qwen3_template)
                  .render(messages, {.add_generation_prompt = false}),
              "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\nwhy\n</think>\n\n"
              "a<|im_end|>\n");
}

TEST(ChatTemplate, LeavesOutWhatAMessageHasNoValueFor) {
    const Json messages =
        Json::parse(R"([{"role": "assistant", "content": null, "tool_calls": null, "name": "a"}])");
    const std::string text =
        "{{ messages[0] | tojson }}|{{ messages[0].content }}|"
        "{{ messages[0].tool_calls is defined }}";
    EXPECT_EQ(ChatTemplate::read(text).render(messages, {}),
              R"({"role": "assistant", "name": "a"}||False)");
}

/// What a template makes of the names in a tokenizer_config.json and a special_tokens_map.json.
std::string render_names(const std::string& expression,
                         const std::string& entries,
                         const std::string& map = "{}") {
    const testing::TemporaryFolder folder;
    folder.write("tokenizer_config.json",
                 R"({"chat_template": "{{ )" + expression + R"( }}", )" + entries + "}");
    folder.write("special_tokens_map.json", map);
    const std::vector<ChatMessage> messages{{.role = "user", .content = "Hi"}};
    return ChatTemplate::open(folder.path()).render(messages);
}

// The three tests below expect what transformers 5.24 renders.
TEST(ChatTemplate, TakesSpecialTokensFromTheTokenizersConfig) {
    EXPECT_EQ(render_names("bos_token ~ eos_token",
                           R"("bos_token": {"content": "<s>", "lstrip": false}, "eos_token": null)",
                           R"({"eos_token": "</s>"})"),
              "<s></s>");
}

TEST(ChatTemplate, BelievesTheMapOfSpecialTokensUnlessTheConfigListsAddedTokens) {
    const std::string map = R"({"bos_token": {"content": "<map>"}, "eos_token": null})";
    const std::string names = "bos_token ~ '|' ~ eos_token";
    const std::string entries = R"("bos_token": "<s>", "eos_token": "</s>")";
    EXPECT_EQ(render_names(names, entries, map), "<map>|");
    EXPECT_EQ(render_names(names, entries + R"(, "added_tokens_decoder": {})", map), "<s>|</s>");
}

TEST(ChatTemplate, KnowsTheSpecialTokensThatAreTheModelsOwn) {
    const std::string names = "image_token ~ '|' ~ boi ~ '|' ~ audio_token";
    EXPECT_EQ(render_names(names,
                           R"("extra_special_tokens": {"image_token": "<img>", "boi": "<boi>"},
                              "audio_token": {"__type": "AddedToken", "content": "<aud>"})"),
              "<img>|<boi>|<aud>");
    EXPECT_EQ(render_names(names,
                           R"("model_specific_special_tokens": {"image_token": "<img>"},
                              "extra_special_tokens": ["<boi>"])",
                           R"({"image_token": "<no>", "audio_token": "<aud>"})"),
              "<img>||<aud>");
    EXPECT_THROW(render_names(names, R"("extra_special_tokens": {"image_token": 7})"), Error);
}

TEST(ChatTemplate, TakesTheTemplateForToolsWhereAChatHasTools) {
    const testing::TemporaryFolder folder;
    folder.write("tokenizer_config.json", R"({"chat_template": [
        {"name": "default", "template": "plain {{ tools is none }}"},
        {"name": "tool_use", "template": "{{ tools | tojson }} {{ documents is none }}"}]})");
    const ChatTemplate chat = ChatTemplate::open(folder.path());
    const std::vector<ChatMessage> messages{{.role = "user", .content = "Hi"}};
    EXPECT_EQ(chat.render(messages), "plain True");
    EXPECT_EQ(chat.render(messages, {.variables = Json::parse(R"({"tools": [{"name": "f"}]})")}),
              R"([{"name": "f"}] True)");
    EXPECT_EQ(chat.render(messages, {.variables = Json::parse(R"({"tools": null})")}),
              "plain True");
}

TEST(ChatTemplate, RendersTheFieldCases) {
    const std::filesystem::path folder = std::filesystem::path(ANAMNESIS_TESTDATA) / "field/chat";
    int lines = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const ChatTemplate chat = ChatTemplate::open(entry.path());
        std::ifstream file(entry.path() / "expected.jsonl");
        std::string text;
        while (std::getline(file, text)) {
            ++lines;
            const Json line = Json::parse(text);
            if (const Json* expected = line.find("text")) {
                EXPECT_EQ(chat.render(line.at("messages"), read_options(line)),
                          expected->as_string("text"))
                    << entry.path() << " " << text;
                continue;
            }
            try {
                static_cast<void>(chat.render(line.at("messages"), read_options(line)));
                ADD_FAILURE() << entry.path() << " accepts " << text;
            } catch (const Error& error) {
                EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
            }
        }
    }
    EXPECT_EQ(lines, 220);
}

}  // namespace
}  // namespace anamnesis::language
