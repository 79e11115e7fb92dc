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

TEST(ChatTemplate, RendersAsTheReference) {
    std::ifstream file(std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/chat.jsonl");
    const bool has_large = std::filesystem::exists(shared / "tokenizers/qwen2.5/tokenizer.json");
    std::optional<Tokenizer> tokenizer;
    if (has_large) {
        tokenizer.emplace(Tokenizer::open(shared / "tokenizers/qwen2.5"));
    }
    std::string text;
    int lines = 0;
    while (std::getline(file, text)) {
        ++lines;
        const Json line = Json::parse(text);
        const bool is_qwen3 = line.at("template") == Json("qwen3");
        RenderOptions options;
        options.add_generation_prompt =
            line.at("add_generation_prompt").as_boolean("add_generation_prompt");
        if (const Json* thinking = line.find("enable_thinking")) {
            options.enable_thinking = thinking->as_boolean("enable_thinking");
        }
        const std::string rendered = ChatTemplate::of_form(is_qwen3 ? ChatTemplate::Form::qwen3
                                                                    : ChatTemplate::Form::qwen2_5)
                                         .render(read_messages(line), options);
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

TEST(ChatTemplate, ReadsTheDefaultSystemTextOutOfTheTemplate) {
    const std::filesystem::path path = shared / "tokenizers/qwen2.5/chat_template.jinja";
    if (!std::filesystem::exists(path)) {
        GTEST_SKIP() << path << " is not here";
    }
    const ChatTemplate base = ChatTemplate::open(path.parent_path());
    EXPECT_EQ(base.form(), ChatTemplate::Form::qwen2_5);
    EXPECT_EQ(base.default_system_text(), "You are a helpful assistant.");
    std::ifstream file(path);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string old = "You are a helpful assistant.";
    const std::string instruct =
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";
    for (std::size_t at = text.find(old); at != std::string::npos;
         at = text.find(old, at + instruct.size())) {
        text.replace(at, old.size(), instruct);
    }
    const ChatTemplate changed = ChatTemplate::read(text);
    EXPECT_EQ(changed.default_system_text(), instruct);
    EXPECT_THROW(ChatTemplate::read(text + "{{ 'more' }}"), Error);
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
    EXPECT_EQ(chatml.form(), ChatTemplate::Form::chatml);
    EXPECT_EQ(chatml.render(std::vector<ChatMessage>{{.role = "user", .content = "Hi"}}),
              "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, RefusesAnUnknownTemplateByFileName) {
    const testing::TemporaryFolder folder;
    folder.write("chat_template.jinja", "{{ messages | tojson }}");
    try {
        static_cast<void>(ChatTemplate::open(folder.path()));
        ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::unsupported);
        EXPECT_THAT(error.what(), HasSubstr("chat_template.jinja"));
    }
}

TEST(ChatTemplate, RefusesRolesItDoesNotKnow) {
    const std::vector<ChatMessage> messages{{.role = "tool", .content = "x"}};
    EXPECT_THROW(
        static_cast<void>(ChatTemplate::of_form(ChatTemplate::Form::qwen3).render(messages)),
        Error);
}

TEST(ChatTemplate, TakesReasoningThatIsKeptApart) {
    const std::vector<ChatMessage> messages{
        {.role = "user", .content = "q"},
        {.role = "assistant", .content = "a", .reasoning_content = "why"}};
    EXPECT_EQ(ChatTemplate::of_form(ChatTemplate::Form::qwen3)
                  .render(messages, {.add_generation_prompt = false}),
              "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\nwhy\n</think>\n\n"
              "a<|im_end|>\n");
}

}  // namespace
}  // namespace anamnesis::language
