// SPDX-License-Identifier: Apache-2.0
#include "http/requests.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/random.hpp"

namespace anamnesis::serve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Requests, HaveTheDefaultsOfOpenAi) {
    const CompletionRequest request = parse_completion_request(R"({"prompt": "Hi"})");
    EXPECT_EQ(std::get<std::string>(request.prompts.at(0)), "Hi");
    EXPECT_EQ(request.how.answers, 1U);
    EXPECT_FALSE(request.how.max_new_tokens.has_value());
    EXPECT_EQ(request.how.decoding.sampling.temperature, 1.0);
    EXPECT_EQ(request.how.decoding.sampling.top_p, 1.0);
    EXPECT_FALSE(request.how.has_seed);
    EXPECT_FALSE(request.how.wants_logprobs);
    EXPECT_TRUE(request.adds_special);
}

TEST(Requests, TakePromptsInEveryForm) {
    const auto prompts = [](const std::string& prompt) {
        return parse_completion_request(R"({"prompt": )" + prompt + "}").prompts;
    };
    EXPECT_THAT(std::get<std::vector<TokenId>>(prompts("[1, 2, 3]").at(0)), ElementsAre(1, 2, 3));
    EXPECT_EQ(prompts(R"(["a", "b"])").size(), 2U);
    const auto mixed = prompts(R"([[1, 2], "b", [7]])");
    ASSERT_EQ(mixed.size(), 3U);
    EXPECT_THAT(std::get<std::vector<TokenId>>(mixed[2]), ElementsAre(7));
}

TEST(Requests, ReadWhatTheEndpointClientSends) {
    const auto request = parse_completion_request(
        R"({"model": "m", "prompt": [5], "max_tokens": 7, "temperature": 0, "top_p": 1.0,
            "seed": 3, "presence_penalty": 0.0, "frequency_penalty": 0.0, "stream": false,
            "stop": ["\n", "x"], "top_k": 1, "min_p": 0.0, "repetition_penalty": 1.0,
            "repeat_penalty": 1.0, "cache_prompt": false, "cache_salt": "id", "logprobs": 5,
            "return_token_ids": true})");
    EXPECT_EQ(request.how.max_new_tokens, 7U);
    EXPECT_EQ(request.how.decoding.sampling.temperature, 0.0);
    EXPECT_EQ(request.how.decoding.sampling.seed, 3U);
    EXPECT_THAT(request.how.decoding.stop, ElementsAre("\n", "x"));
    EXPECT_EQ(request.how.decoding.alternatives, 5U);
    EXPECT_FALSE(request.how.reuses_prefix);
    EXPECT_EQ(request.how.cache_salt, "id");
    EXPECT_TRUE(request.how.returns_token_ids);
}

TEST(Requests, ReadChatsWithTheirVariables) {
    const ChatRequest request = parse_chat_request(
        R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"},
            {"type": "text", "text": "b"}]}], "chat_template_kwargs": {"enable_thinking": false},
            "logprobs": true, "top_logprobs": 3, "max_completion_tokens": 9})");
    EXPECT_EQ(request.messages.as_array("m")[0].at("content").as_string("c"), "a\nb");
    EXPECT_FALSE(request.rendering.variables.at("enable_thinking").as_boolean("v"));
    EXPECT_TRUE(request.rendering.add_generation_prompt);
    EXPECT_EQ(request.how.decoding.alternatives, 3U);
    EXPECT_EQ(request.how.max_new_tokens, 9U);
    const ChatRequest going_on = parse_chat_request(
        R"({"messages": [{"role": "assistant", "content": "So"}], "continue_final_message": true})");
    EXPECT_TRUE(going_on.continues_last);
    EXPECT_FALSE(going_on.rendering.add_generation_prompt);
}

TEST(Requests, AreRefusedByTheNameOfWhatIsWrong) {
    const std::vector<std::pair<std::string, std::string>> wrong{
        {R"([])", "a JSON object"},
        {R"({})", "'prompt'"},
        {R"({"prompt": 5})", "'prompt'"},
        {R"({"prompt": []})", "'prompt'"},
        {R"({"prompt": [1, "a"]})", "token id"},
        {R"({"prompt": [-1]})", "token id"},
        {R"({"prompt": [1.5]})", "token id"},
        {R"({"prompt": [99999999999]})", "token id"},
        {R"({"prompt": [{}]})", "each prompt"},
        {R"({"prompt": "a", "n": 0})", "'n'"},
        {R"({"prompt": "a", "n": 100000})", "'n'"},
        {R"({"prompt": "a", "max_tokens": -1})", "'max_tokens'"},
        {R"({"prompt": "a", "max_tokens": "7"})", "'max_tokens'"},
        {R"({"prompt": "a", "temperature": -0.1})", "'temperature'"},
        {R"({"prompt": "a", "temperature": true})", "'temperature'"},
        {R"({"prompt": "a", "top_p": 0})", "'top_p'"},
        {R"({"prompt": "a", "top_p": 1.1})", "'top_p'"},
        {R"({"prompt": "a", "stop": ""})", "'stop'"},
        {R"({"prompt": "a", "stop": [1]})", "'stop'"},
        {R"({"prompt": "a", "logprobs": 21})", "'logprobs'"},
        {R"({"prompt": "a", "logprobs": true})", "'logprobs'"},
        {R"({"prompt": "a", "stream": 1})", "'stream'"},
        {R"({"prompt": "a", "presence_penalty": 0.5})", "'presence_penalty' is not supported"},
        {R"({"prompt": "a", "repetition_penalty": 1.1})", "'repetition_penalty' is not supported"},
        {R"({"prompt": "a", "logit_bias": {"5": 1}})", "'logit_bias' is not supported"},
        {R"({"prompt": "a", "best_of": 4})", "'best_of'"},
        {R"({"prompt": "a", "stream_options": 4})", "'stream_options' is an object"},
        {R"({"prompt": "a", "response_format": {"type": "json_object"}})", "'response_format'"},
        {R"({"prompt": "a", "structured_outputs": {"json": {}}})", "'structured_outputs'"},
        {R"({"prompt": "a", "grammar": "root ::= [a-z]"})", "'grammar' is not supported"},
        {R"({"prompt": "a", "skip_special_tokens": false})", "'skip_special_tokens'"},
        {R"({"prompt": "a", "typical_p": 0.5})", "'typical_p'"},
    };
    for (const auto& [body, expected] : wrong) {
        try {
            parse_completion_request(body);
            ADD_FAILURE() << body << " is taken";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::usage) << body;
            EXPECT_THAT(error.message(), HasSubstr(expected)) << body;
        }
    }
    for (const std::string body :
         {R"({"messages": []})",
          R"({"messages": "a"})",
          R"({"messages": [5]})",
          R"({"messages": [{"content": "a"}]})",
          R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
          R"({"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2})",
          R"({"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": []})",
          R"({"messages": [{"role": "user", "content": "a"}], "tools": "x"})",
          R"({"messages": [{"role": "user", "content": "a"}], "documents": [7]})",
          R"({"messages": [{"role": "user", "content": "a"}],
              "chat_template_kwargs": {"messages": []}})",
          R"({"messages": [{"role": "user", "content": "a"}], "chat_template": "x"})",
          R"({"messages": [{"role": "user", "content": "a"}], "tool_choice": "required"})",
          R"({"messages": [{"role": "user", "content": "a"}],
              "response_format": {"type": "json_object"}})"}) {
        EXPECT_THROW(parse_chat_request(body), Error) << body;
    }
}

TEST(Requests, GiveTemplatesTheObjectsThatCallsHoldAsText) {
    const ChatRequest request = parse_chat_request(
        R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": 1}"}},
                           {"function": {"name": "now", "arguments": ""}},
                           {"function": {"name": "kept", "arguments": {"a": 2}}}]}]})");
    const auto& messages = request.messages.as_array("messages");
    const auto& calls = messages.at(1).at("tool_calls").as_array("calls");
    const auto arguments = [&](std::size_t call) {
        return calls.at(call).at("function").at("arguments").dump();
    };
    EXPECT_EQ(arguments(0), Json::parse(R"({"city": 1})").dump());
    EXPECT_EQ(arguments(1), "{}");
    EXPECT_EQ(arguments(2), Json::parse(R"({"a": 2})").dump());
    EXPECT_EQ(calls.at(0).at("id").as_string("id"), "c");
}

TEST(Requests, AreRefusedWithWhatWasExpectedAndWhatWasFound) {
    const auto chat = [](const std::string& message) {
        return R"({"messages": [{"role": "user", "content": "a"}, )" + message + "]}";
    };
    const std::vector<std::pair<std::string, std::string>> chats{
        {chat(R"({"role": "user", "content": 5})"),
         "'content' of messages[1] is a text or a list of texts, not '5'"},
        {chat(R"({"role": "user", "content": {"a": 1}})"), "'content' of messages[1] is a text"},
        {chat(R"({"role": "user", "content": [5]})"),
         R"('content' of messages[1] is a text, or a list of {"type": "text", "text": ...}, not '5')"},
        {chat(R"({"role": "user"})"), "messages[1] has no 'content'; expected a text"},
        {chat(R"({"role": "user", "content": null})"), "messages[1] has no 'content'"},
        {chat(R"({"role": "assistant", "content": "a", "tool_calls": 5})"),
         "'tool_calls' of messages[1] is a list of objects, not '5'"},
        {chat(R"({"role": "assistant", "content": "a", "tool_calls": [5]})"),
         "'tool_calls' of messages[1] is a list of objects, not '[5]'"},
        {chat(
             R"({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]})"),
         "'arguments' of messages[1] is the text of a JSON object, not"},
        {chat("5"), "messages[1] is an object with a 'role', not '5'"},
        {chat(R"({"content": "a"})"), "messages[1] has no 'role'"},
        {chat(R"({"role": 5, "content": "a"})"),
         "'role' of messages[1] is a text, such as \"user\", not '5'"},
        {R"({"messages": 5})", "'messages' is a list of at least one message, not '5'"},
        {R"({})", "a chat needs 'messages'"},
        {R"({"messages": [{"role": "user", "content": "a"}], "tools": 5})",
         "'tools' is a list of objects, not '5'"},
        {R"({"messages": [{"role": "user", "content": "a"}], "reasoning_effort": 5})",
         "'reasoning_effort' is a text of at most 1024 bytes, not '5'"},
        {R"({"messages": [{"role": "user", "content": "a"}], "chat_template_kwargs": 5})",
         "'chat_template_kwargs' is an object, not '5'"},
        {"5", "the body of a request is a JSON object, not '5'"}};
    const auto expect_refusals = [](const auto& bodies, auto parse) {
        for (const auto& [body, expected] : bodies) {
            try {
                static_cast<void>(parse(body));
                ADD_FAILURE() << body << " is taken";
            } catch (const Error& error) {
                EXPECT_EQ(error.kind(), ErrorKind::usage) << body;
                EXPECT_THAT(error.message(), HasSubstr(expected)) << body;
            }
        }
    };
    using Bodies = std::vector<std::pair<std::string, std::string>>;
    expect_refusals(chats, parse_chat_request);
    expect_refusals(Bodies{{R"({"prompt": 5})", "'prompt' is a text, not '5'"},
                           {R"({"content": [1]})", "'content' is a text, not '[1]'"}},
                    parse_tokenize_request);
    expect_refusals(Bodies{{R"({"tokens": 5})", "'tokens' is a list of token ids, not '5'"},
                           {R"({"tokens": [-5]})", "'-5' is no token id"}},
                    parse_detokenize_request);
    expect_refusals(Bodies{{R"({"prompt": 5})", "or a list of several of these, not '5'"},
                           {R"({"prompt": ["a", 5]})", "not '5'"},
                           {R"({"prompt": "a", "stop": 5})", "not '5'"}},
                    parse_completion_request);
}

TEST(Requests, LeaveMessagesWithoutTextToTheTemplate) {
    const ChatRequest request = parse_chat_request(
        R"({"messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "content": "b"}, {"role": "assistant", "tool_calls": null}]})");
    EXPECT_EQ(request.messages.as_array("messages").size(), 4U);
}

TEST(Requests, ThatAreGarbageAreRefusedAndNothingElse) {
    const std::string whole =
        R"({"prompt": ["a", [1, 2]], "stop": ["x"], "n": 2, "seed": -5, "temperature": 0.5,)"
        R"( "messages": [{"role": "user", "content": "b"}], "tokens": [1], "logprobs": 1})";
    Random random(1);
    for (int round = 0; round < 20000; ++round) {
        std::string body =
            whole.substr(0, random.below(4) == 0 ? random.below(whole.size()) : whole.size());
        for (std::uint64_t i = random.below(4) + 1; i > 0 && !body.empty(); --i) {
            constexpr std::string_view bytes = "\"{}[]:,0e-.\\\x80 n";
            body[random.below(body.size())] = bytes[random.below(bytes.size())];
        }
        const auto try_to = [&](auto parse) {
            try {
                static_cast<void>(parse(body));
            } catch (const Error& error) {
                EXPECT_TRUE(error.kind() == ErrorKind::usage ||
                            error.kind() == ErrorKind::malformed)
                    << body << error.what();
            }
        };
        try_to(parse_completion_request);
        try_to(parse_chat_request);
        try_to(parse_tokenize_request);
        try_to(parse_detokenize_request);
    }
    EXPECT_THROW(parse_chat_request(std::string(100000, '[')), Error);
}

TEST(Requests, ToTokenizeAreTakenAsLlamaServerAndVllmTakeThem) {
    const auto llama = parse_tokenize_request(R"({"content": "a"})");
    EXPECT_EQ(*llama.text, "a");
    EXPECT_FALSE(llama.adds_special);
    EXPECT_TRUE(parse_tokenize_request(R"({"prompt": "a"})").adds_special);
    EXPECT_FALSE(
        parse_tokenize_request(R"({"prompt": "a", "add_special_tokens": false})").adds_special);
    EXPECT_FALSE(
        parse_tokenize_request(R"({"messages": [{"role": "user", "content": "a"}]})").text);
    EXPECT_THAT(parse_detokenize_request(R"({"tokens": [4, 5]})").tokens, ElementsAre(4, 5));
}

}  // namespace
}  // namespace anamnesis::serve
