// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/transport_trial.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/scripted_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "endpoint/request.hpp"
#include "openai_server.hpp"

namespace anamnesis::eval {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Reply = std::optional<std::pair<int, std::string>>;

class Transport : public ::testing::Test {
protected:
    EndpointOptions options() const {
        return {.url = server_.url(),
                .model = "",
                .retries = 3,
                .first_pause = std::chrono::milliseconds(1)};
    }

    EndpointOptions find(TransportChoice choice, Json earlier = {}) {
        return find(options(), choice, std::move(earlier));
    }
    EndpointOptions find(EndpointOptions options, TransportChoice choice, Json earlier = {}) {
        const EngineOpening opening{
            .earlier = std::move(earlier),
            .trial = {.id = "t", .input = "say this", .max_new_tokens = 4},
            .watch = Watch(
                silent_,
                std::stop_token{},
                [this](std::string_view line) { lines_.emplace_back(line); },
                [this](std::string_view line) { warnings_.emplace_back(line); })};
        return find_transport(std::move(options), choice, &tokenizer_, opening);
    }

    Error failure(TransportChoice choice, Json earlier = {}) {
        try {
            find(choice, std::move(earlier));
        } catch (const Error& error) {
            return error;
        }
        ADD_FAILURE() << "nothing was thrown";
        return Error(ErrorKind::internal, "");
    }

    language::Tokenizer tokenizer_ =
        language::Tokenizer::open(std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2");
    language::ScriptedModel model_{[](std::string_view) { return std::string(" one two three"); }};
    OpenAiServer server_{model_};
    SilentProgress silent_;
    std::vector<std::string> lines_;
    std::vector<std::string> warnings_;
};

/// An answer to a prompt of ids: the scripted model has bytes for tokens.
Reply take_token_ids(const Json& body, bool /*is_chat*/) {
    const Json* prompt = body.find("prompt");
    return prompt != nullptr && prompt->is_array()
               ? Reply{{200, R"({"choices":[{"text":"x","finish_reason":"stop"}]})"}}
               : std::nullopt;
}

/// As llama_cpp.server answers: 500 to token ids and to a top_k of -1.
Reply refuse_as_llama_cpp_server(const Json& body, bool /*is_chat*/) {
    const Json* prompt = body.find("prompt");
    if (prompt != nullptr && prompt->is_array()) {
        return {{500,
                 R"({"error":{"message":"4 validation errors: 'Input should be a valid string', )"
                 R"('loc': 'body', 'prompt', 'str'"}})"}};
    }
    if (body.find("top_k") != nullptr) {
        return {{500,
                 R"({"error":{"message":"1 validation error: 'body', 'top_k', 'Input should be )"
                 R"(greater than or equal to 0'"}})"}};
    }
    return std::nullopt;
}

TEST_F(Transport, IsTokenIdsWhereTheyAreTaken) {
    server_.refuse(take_token_ids);
    const EndpointOptions found = find(TransportChoice::automatic);
    EXPECT_EQ(found.transport, PromptTransport::token_ids);
    EXPECT_TRUE(found.sends_extensions);
    EXPECT_EQ(server_.requests(), 1U);
    EXPECT_THAT(lines_, Each(HasSubstr("prompts go as token ids, with fields")));
    EXPECT_THAT(lines_, SizeIs(1));
}

TEST_F(Transport, IsTextInOpenAisFieldsWhereNothingElseIsTaken) {
    server_.refuse(refuse_as_llama_cpp_server);
    const EndpointOptions found = find(TransportChoice::automatic);
    EXPECT_EQ(found.transport, PromptTransport::text);
    EXPECT_FALSE(found.sends_extensions);
    EXPECT_THAT(lines_.back(),
                AllOf(HasSubstr("prompts go as text, without fields beyond OpenAI's"),
                      HasSubstr("Input should be a valid string")));
    EXPECT_THAT(warnings_, Each(HasSubstr("own defaults hold")));
    EXPECT_THAT(warnings_, SizeIs(::testing::Ge(1U)));
}

TEST_F(Transport, IsAChatWhereThereIsNothingElse) {
    server_.refuse([](const Json&, bool is_chat) -> Reply {
        return is_chat ? std::nullopt : Reply{{404, R"({"detail":"Not Found"})"}};
    });
    EXPECT_EQ(find(TransportChoice::automatic).transport, PromptTransport::chat);
    EXPECT_THAT(warnings_, Each(HasSubstr("its own chat template")));
}

TEST_F(Transport, IsTextWithAWarningWhereTokenIdsAreCut) {
    server_.refuse([](const Json& body, bool) -> Reply {
        return body.at("prompt").is_array()
                   ? Reply{{200,
                            R"({"choices":[{"text":"x","finish_reason":"stop"}],)"
                            R"("usage":{"prompt_tokens":1,"completion_tokens":1}})"}}
                   : std::nullopt;
    });
    EXPECT_EQ(find(TransportChoice::automatic).transport, PromptTransport::text);
    EXPECT_THAT(warnings_,
                AllOf(SizeIs(1),
                      Each(AllOf(HasSubstr("read 1 prompt tokens where"),
                                 HasSubstr("it cuts prompts"),
                                 HasSubstr("prompts go as text instead")))));
    EXPECT_THAT(failure(TransportChoice::token_ids).message(), HasSubstr("it cuts prompts"));
}

TEST_F(Transport, ATextOfWhichAServerReadsClearlyLessIsNoted) {
    const auto read = [&](PromptTransport transport, const std::string& tokens) {
        server_.refuse([tokens](const Json&, bool is_chat) -> Reply {
            const std::string said = is_chat ? R"("message":{"content":"x"})" : R"("text":"x")";
            return {{200,
                     R"({"choices":[{)" + said + R"(,"finish_reason":"stop"}],"usage":)" +
                         R"({"prompt_tokens":)" + tokens + R"(,"completion_tokens":1}})"}};
        });
        EndpointOptions asked = options();
        asked.transport = transport;
        const Engine engine = make_endpoint_engine(asked, &tokenizer_);
        std::string input;
        for (int i = 0; i < 100; ++i) {
            input += "1";  // a token each
        }
        bool is_asked = false;
        engine.back_end->answer(
            [&]() -> std::optional<Question> {
                return std::exchange(is_asked, true)
                           ? std::nullopt
                           : std::optional(Question{.id = "a", .input = input});
            },
            {.answered = [](const Question&, const Answer&) {},
             .failed = [](const Question&, const std::string& reason) { FAIL() << reason; }},
            {});
        return engine.back_end->list_notes();
    };
    for (const PromptTransport transport : {PromptTransport::text, PromptTransport::chat}) {
        EXPECT_THAT(
            read(transport, "50"),
            AllOf(SizeIs(1), Each(AllOf(HasSubstr("for 1 answers"), HasSubstr("up to 50 fewer")))));
        EXPECT_THAT(read(transport, "96"), IsEmpty());
        EXPECT_THAT(read(transport, "120"), IsEmpty());
        EXPECT_THAT(read(transport, "0"), AllOf(SizeIs(1), Each(HasSubstr("did not say"))));
    }
}

TEST_F(Transport, IsTriedOnceWhereItIsChosen) {
    server_.refuse(refuse_as_llama_cpp_server);
    const Error error = failure(TransportChoice::text);
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_THAT(error.message(), AllOf(HasSubstr("as text"), HasSubstr("--plain-openai")));
    EXPECT_EQ(server_.requests(), 1U);
    EndpointOptions plain = options();
    plain.sends_extensions = false;
    EXPECT_EQ(find(plain, TransportChoice::text).transport, PromptTransport::text);
    EXPECT_EQ(server_.requests(), 2U);
}

TEST_F(Transport, IsKeptByARunThatGoesOn) {
    const Json earlier = Json::Object{{"transport", "text"}, {"extensions", false}};
    const EndpointOptions found = find(TransportChoice::automatic, earlier);
    EXPECT_EQ(found.transport, PromptTransport::text);
    EXPECT_FALSE(found.sends_extensions);
    EXPECT_EQ(server_.requests(), 0U);
    const Error error = failure(TransportChoice::chat, earlier);
    EXPECT_EQ(error.kind(), ErrorKind::mismatch);
    EXPECT_THAT(error.message(), HasSubstr("went as text, not as chats"));
}

TEST_F(Transport, GivesTheBudgetTheNameThatTheServerWants) {
    server_.refuse([](const Json& body, bool) -> Reply {
        return body.find("max_tokens") == nullptr
                   ? std::nullopt
                   : Reply{
                         {400,
                          R"({"error":{"message":"Unsupported parameter: 'max_tokens' is not )"
                          R"(supported with this model. Use 'max_completion_tokens' instead."}})"}};
    });
    EXPECT_TRUE(find(TransportChoice::chat).limits_completion);
    EXPECT_NE(server_.bodies().back().find("max_completion_tokens"), nullptr);
}

TEST_F(Transport, TellsAtOnceThatAServerIsNotReady) {
    int left = 2;
    server_.refuse([&left](const Json& body, bool is_chat) -> Reply {
        return left-- > 0 ? Reply{{503, "Loading model"}} : take_token_ids(body, is_chat);
    });
    EXPECT_EQ(find(TransportChoice::automatic).transport, PromptTransport::token_ids);
    EXPECT_THAT(warnings_, AllOf(SizeIs(1), Each(HasSubstr("Loading model"))));
    EXPECT_EQ(server_.requests(), 3U);
}

TEST_F(Transport, IsNotSoughtWhereEveryWayMeetsTheSame) {
    server_.refuse([](const Json&, bool) -> Reply { return {{401, "who are you"}}; });
    EXPECT_THAT(failure(TransportChoice::automatic).message(), HasSubstr("who are you"));
    EXPECT_EQ(server_.requests(), 1U);
    EXPECT_THAT(lines_, IsEmpty());
}

TEST_F(Transport, NamesEveryWayThatFailed) {
    server_.refuse([](const Json& body, bool) -> Reply {
        return {{400, body.find("top_k") != nullptr ? "no" : "never"}};
    });
    EXPECT_THAT(
        failure(TransportChoice::automatic).message(),
        AllOf(HasSubstr("token ids, with fields beyond OpenAI's: the server answered 400: 'no'"),
              HasSubstr("chats, without fields beyond OpenAI's: the server answered 400: "
                        "'never'")));
    EXPECT_EQ(server_.requests(), 6U);
}

TEST_F(Transport, AFoldersPathIsAskedForThoughItIsNotListed) {
    EndpointOptions asked = options();
    asked.model = "/models/mine";
    const EndpointOptions found = find(asked, TransportChoice::automatic);
    EXPECT_EQ(found.model, "/models/mine");
    EXPECT_EQ(server_.bodies().front().at("model").as_string("model"), "/models/mine");
    const Engine engine = make_endpoint_engine(found, &tokenizer_);
    EXPECT_THAT(engine.back_end->list_notes(), Each(HasSubstr("not in the server's list")));
    EXPECT_THAT(engine.back_end->list_notes(), SizeIs(1));
}

TEST_F(Transport, RefusesSettingsThatDoNotReachTheServer) {
    const auto open =
        [&](const EndpointOptions& endpoint, TransportChoice choice, std::uint32_t top_k) {
            EngineOpening opening{.trial = {.id = "t", .input = "say this", .max_new_tokens = 4},
                                  .watch = Watch(silent_, std::stop_token{})};
            opening.trial.sampling.top_k = top_k;
            static_cast<void>(open_server(endpoint, choice, &tokenizer_, opening));
        };
    const auto refused_for = [&](const EndpointOptions& endpoint,
                                 TransportChoice choice,
                                 std::uint32_t top_k) -> std::string {
        try {
            open(endpoint, choice, top_k);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::unsupported);
            return error.message();
        }
        return "";
    };
    EndpointOptions plain = options();
    plain.sends_extensions = false;
    EXPECT_THAT(refused_for(plain, TransportChoice::text, 5), HasSubstr("no field for --top-k"));
    EXPECT_EQ(refused_for(plain, TransportChoice::text, 0), "");
    EXPECT_EQ(refused_for(options(), TransportChoice::text, 5), "");

    EndpointOptions thinking = plain;
    thinking.form.enable_thinking = false;
    EXPECT_THAT(refused_for(thinking, TransportChoice::chat, 0), HasSubstr("--thinking"));
    thinking.sends_extensions = true;
    EXPECT_EQ(refused_for(thinking, TransportChoice::chat, 0), "");

    server_.refuse(refuse_as_llama_cpp_server);
    EXPECT_THAT(refused_for(options(), TransportChoice::automatic, 5), HasSubstr("--top-k"));
}

TEST(Request, HasOpenAisFieldsAloneWhereNoOthersAreWanted) {
    const auto tokenizer =
        language::Tokenizer::open(std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2");
    const std::set<std::string> known{"model",
                                      "prompt",
                                      "messages",
                                      "max_tokens",
                                      "temperature",
                                      "top_p",
                                      "seed",
                                      "presence_penalty",
                                      "frequency_penalty",
                                      "stream",
                                      "stop",
                                      "logprobs",
                                      "top_logprobs"};
    for (const PromptTransport transport :
         {PromptTransport::token_ids, PromptTransport::text, PromptTransport::chat}) {
        const EndpointOptions plain{.url = "http://x",
                                    .model = "m",
                                    .transport = transport,
                                    .form = {.enable_thinking = true},
                                    .sends_extensions = false};
        const Question question{.id = "q",
                                .input = "in",
                                .answer_prefix = "The",
                                .sampling = {.top_k = 5},
                                .stop = {"."},
                                .cache = CacheUse::forbidden,
                                .wants_tokens = true};
        const Json body = Json::parse(make_request(question, plain, &tokenizer).body);
        for (const auto& [field, value] : body.as_object("body")) {
            EXPECT_TRUE(known.contains(field)) << field;
        }
    }
}

}  // namespace
}  // namespace anamnesis::eval
