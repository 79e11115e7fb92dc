// SPDX-License-Identifier: Apache-2.0
//
// The real binary as a server: what it answers is what `generate` says.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "run_command.hpp"
#include "served_process.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::HasSubstr;

const std::string prompt =
    "a needle in a haystack, a needle in a haystack, and then one more needle in the haystack";

/// What the data lines of a stream hold, without the last, [DONE].
std::vector<Json> read_events(const std::string& body) {
    std::vector<Json> events;
    bool is_done = false;
    for (const std::string& line : split(body, '\n')) {
        if (line == "data: [DONE]") {
            is_done = true;
        } else if (line.starts_with("data: ")) {
            events.push_back(Json::parse(line.substr(6)));
        }
    }
    EXPECT_TRUE(is_done) << body;
    return events;
}

const Json& choice_of(const Json& reply, std::size_t index = 0) {
    return reply.at("choices").as_array("choices").at(index);
}

std::string text_of(const Json& reply, std::size_t index = 0) {
    return choice_of(reply, index).at("text").as_string("text");
}

class Serve : public ::testing::TestWithParam<const char*> {
protected:
    Serve() { write_tiny_model(folder_, GetParam()); }

    std::string path() const { return folder_.path().string(); }

    /// The first answer of `generate --json`.
    Json generate(const std::vector<std::string>& more) const {
        std::vector<std::string> words{ANAMNESIS_BINARY,
                                       "generate",
                                       "--model",
                                       path(),
                                       "--json",
                                       "--logprobs",
                                       "--chunk",
                                       "16"};
        words.insert(words.end(), more.begin(), more.end());
        const CommandResult result = run_command(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        return Json::parse(result.output).at("answers").as_array("answers").at(0);
    }

    TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Families,
                         Serve,
                         ::testing::Values("qwen3_base", "hypenet_base", "bamba_hub_config"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(Serve, AnswersWhatGenerateWritesAloneAndTogether) {
    const ServedProcess server({"--model", "m=" + path(), "--chunk", "16"});
    const Json alone = generate({"--prompt", prompt, "--max-tokens", "24", "--ignore-eos"});
    const Json body = Json::Object{{"model", "m"},
                                   {"prompt", prompt},
                                   {"max_tokens", 24},
                                   {"temperature", 0},
                                   {"logprobs", 1},
                                   {"ignore_eos", true},
                                   {"return_token_ids", true}};
    std::vector<Json> replies(9);
    {
        std::vector<std::jthread> clients;
        for (Json& reply : replies) {
            clients.emplace_back([&] { reply = server.ask("/v1/completions", body); });
        }
    }
    // Those that came at once may all have begun before any was read.
    replies.push_back(server.ask("/v1/completions", body));
    for (const Json& reply : replies) {
        EXPECT_EQ(text_of(reply), alone.at("text").as_string("text"));
        EXPECT_EQ(choice_of(reply).at("token_ids"), alone.at("tokens"));
        EXPECT_EQ(choice_of(reply).at("logprobs").at("token_logprobs"), alone.at("logprobs"));
        EXPECT_EQ(choice_of(reply).at("finish_reason").as_string("reason"), "length");
        EXPECT_EQ(reply.at("usage").at("completion_tokens").as_unsigned("count"), 24U);
    }
    EXPECT_GT(server.metric("prompt_tokens_reused_total"), 0.0);
}

TEST_P(Serve, SamplesFromASeedAsGenerateDoes) {
    const ServedProcess server({"--model", "m=" + path(), "--chunk", "16"});
    const Json alone = generate({"--prompt",
                                 prompt,
                                 "--max-tokens",
                                 "24",
                                 "--temperature",
                                 "1.4",
                                 "--top-p",
                                 "0.9",
                                 "--seed",
                                 "11",
                                 "--ignore-eos"});
    const Json reply = server.ask("/v1/completions",
                                  Json::Object{{"prompt", prompt},
                                               {"max_tokens", 24},
                                               {"temperature", 1.4},
                                               {"top_p", 0.9},
                                               {"seed", 11},
                                               {"n", 3},
                                               {"ignore_eos", true}});
    EXPECT_EQ(text_of(reply, 0), alone.at("text").as_string("text"));
    EXPECT_NE(text_of(reply, 1), text_of(reply, 0));
    EXPECT_EQ(reply.at("choices").as_array("choices").size(), 3U);
}

TEST_P(Serve, StreamsWhatItAnswersAtOnce) {
    const ServedProcess server({"--model", "m=" + path()});
    Json body = Json::Object{{"prompt", prompt},
                             {"max_tokens", 20},
                             {"temperature", 0},
                             {"logprobs", 2},
                             {"echo", true},
                             {"n", 2},
                             {"ignore_eos", true}};
    const Json whole = server.ask("/v1/completions", body);
    body.set("stream", true);
    body.set("stream_options", Json::Object{{"include_usage", true}});
    const auto result = server.post("/v1/completions", body.dump());
    ASSERT_TRUE(result);
    EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream");
    std::vector<std::string> texts(2);
    std::vector<Json::Array> logprobs(2);
    Json usage;
    for (const Json& event : read_events(result->body)) {
        for (const Json& choice : event.at("choices").as_array("choices")) {
            const std::size_t index = choice.at("index").as_unsigned("index");
            texts[index] += choice.at("text").as_string("text");
            if (const Json* scores = choice.find("logprobs"); !scores->is_null()) {
                for (const Json& one : scores->at("token_logprobs").as_array("scores")) {
                    logprobs[index].push_back(one);
                }
            }
        }
        usage = event.find("usage") != nullptr ? event.at("usage") : usage;
    }
    EXPECT_EQ(texts[0], text_of(whole, 0));
    EXPECT_EQ(texts[1], text_of(whole, 1));
    EXPECT_EQ(Json(logprobs[1]), choice_of(whole, 1).at("logprobs").at("token_logprobs"));
    EXPECT_EQ(usage.at("completion_tokens"), whole.at("usage").at("completion_tokens"));
}

/// Four letters in a row of a text, after its first third.
std::string find_word(const std::string& text) {
    for (std::size_t i = text.size() / 3; i + 4 <= text.size(); ++i) {
        const std::string word = text.substr(i, 4);
        if (std::ranges::all_of(word, [](char c) { return c >= ' ' && c <= '~'; })) {
            return word;
        }
    }
    return {};
}

TEST_P(Serve, StreamsNoTokenBeyondAStopString) {
    const ServedProcess server({"--model", "m=" + path()});
    Json body = Json::Object{{"prompt", prompt},
                             {"max_tokens", 40},
                             {"temperature", 1.5},
                             {"logprobs", 1},
                             {"return_token_ids", true},
                             {"ignore_eos", true}};
    std::string stop;
    for (int seed = 1; stop.empty() && seed < 20; ++seed) {
        body.set("seed", seed);
        stop = find_word(text_of(server.ask("/v1/completions", body)));
    }
    ASSERT_FALSE(stop.empty());
    body.set("stop", stop);
    const Json whole = server.ask("/v1/completions", body);
    EXPECT_EQ(choice_of(whole).at("stop_reason").as_string("stop"), stop);
    body.set("stream", true);
    std::string text;
    Json::Array logprobs;
    Json::Array ids;
    for (const Json& event : read_events(server.post("/v1/completions", body.dump())->body)) {
        const Json& choice = choice_of(event);
        text += choice.at("text").as_string("text");
        if (const Json& scores = choice.at("logprobs"); !scores.is_null()) {
            std::ranges::copy(scores.at("token_logprobs").as_array("scores"),
                              std::back_inserter(logprobs));
            std::ranges::copy(choice.at("token_ids").as_array("ids"), std::back_inserter(ids));
        }
    }
    EXPECT_EQ(text, text_of(whole));
    EXPECT_EQ(Json(logprobs), choice_of(whole).at("logprobs").at("token_logprobs"));
    EXPECT_EQ(Json(ids), choice_of(whole).at("token_ids"));
}

TEST_P(Serve, ScoresTheTextThatItEchoes) {
    const ServedProcess server({"--model", "m=" + path(), "--chunk", "16"});
    const Json alone = generate({"--prompt", prompt, "--max-tokens", "12", "--ignore-eos"});
    Json ids = server.ask("/tokenize", Json::Object{{"content", prompt}}).at("tokens");
    const std::size_t first = ids.as_array("ids").size();
    for (const Json& id : alone.at("tokens").as_array("tokens")) {
        ids.push_back(id);
    }
    const Json reply = server.ask(
        "/v1/completions",
        Json::Object{{"prompt", ids}, {"max_tokens", 0}, {"logprobs", 1}, {"echo", true}});
    const Json& scores = choice_of(reply).at("logprobs");
    const auto& logprobs = scores.at("token_logprobs").as_array("scores");
    ASSERT_EQ(logprobs.size(), ids.as_array("ids").size());
    EXPECT_TRUE(logprobs[0].is_null());
    const auto& expected = alone.at("logprobs").as_array("logprobs");
    for (std::size_t i = 0; i < expected.size(); ++i) {
        // Pieces of other lengths are summed in another order, and rounding to bfloat16 enlarges
        // the difference.
        EXPECT_NEAR(logprobs[first + i].as_double("score"), expected[i].as_double("score"), 1e-2);
        // Greedy tokens are the likeliest: what lm-eval looks for.
        for (const auto& [name, logprob] :
             scores.at("top_logprobs").as_array("top")[first + i].as_object("top")) {
            EXPECT_LE(logprob.as_double(name), logprobs[first + i].as_double("score") + 1e-9);
        }
    }
    EXPECT_EQ(reply.at("usage").at("completion_tokens").as_unsigned("count"), 0U);
}

/// The text that begins `offset` characters after the beginning.
std::string_view text_from(std::string_view text, std::size_t offset) {
    std::size_t place = 0;
    for (; place < text.size(); ++place) {
        const bool is_character = (static_cast<unsigned char>(text[place]) & 0xC0U) != 0x80U;
        if (is_character && offset-- == 0) {
            break;
        }
    }
    return text.substr(place);
}

/// The tokens of a choice lie in its text one after another, from offset to offset; those that add
/// nothing have names.
void expect_tokens_are_the_text(const Json& choice) {
    const std::string& text = choice.at("text").as_string("text");
    const auto& tokens = choice.at("logprobs").at("tokens").as_array("tokens");
    const auto& offsets = choice.at("logprobs").at("text_offset").as_array("offsets");
    ASSERT_EQ(tokens.size(), offsets.size());
    std::size_t read = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const std::string_view from = text_from(text, offsets[i].as_unsigned("offset"));
        const std::string_view rest =
            i + 1 < tokens.size() ? text_from(text, offsets[i + 1].as_unsigned("offset")) : "";
        const std::string_view added = from.substr(0, from.size() - rest.size());
        EXPECT_TRUE(added.empty() || added == tokens[i].as_string("token")) << i << " of " << text;
        read += added.size();
    }
    EXPECT_EQ(read, text.size());
}

TEST(ServeEcho, GivesTokensThatAreTheTextThatItReturns) {
    TemporaryFolder folder;
    write_tiny_model(folder, "qwen3_base");
    const auto forms = std::filesystem::path(ANAMNESIS_TESTDATA) / "tokenizer/forms";
    for (const char* name : {"metaspace_first_0", "unigram_1_always", "gpt2_prefix_roberta"}) {
        SCOPED_TRACE(name);
        const ServedProcess server(
            {"--model", "m=" + folder.path().string(), "--tokenizer", (forms / name).string()});
        const Json ids =
            server.ask("/tokenize", Json::Object{{"prompt", "the text of"}}).at("tokens");
        for (const Json& given :
             {Json(" a  needle"), Json("the text"), Json("caf\xC3\xA9 \xE4\xB8\xAD\n."), ids}) {
            for (const bool echoes : {true, false}) {
                const Json body = Json::Object{{"prompt", given},
                                               {"max_tokens", echoes ? 12 : 20},
                                               {"temperature", 1.5},
                                               {"seed", 3},
                                               {"logprobs", 2},
                                               {"echo", echoes},
                                               {"ignore_eos", true}};
                expect_tokens_are_the_text(choice_of(server.ask("/v1/completions", body)));
            }
        }
    }
}

TEST_P(Serve, AnswersChatsAsGenerateDoes) {
    const ServedProcess server({"--model", "m=" + path(), "--chunk", "16"});
    const Json alone =
        generate({"--chat", "--system", "S", "--prompt", "Hi", "--max-tokens", "16"});
    const Json messages = Json::Array{Json::Object{{"role", "system"}, {"content", "S"}},
                                      Json::Object{{"role", "user"}, {"content", "Hi"}}};
    Json body = Json::Object{{"messages", messages},
                             {"max_tokens", 16},
                             {"temperature", 0},
                             {"logprobs", true},
                             {"top_logprobs", 2}};
    const Json reply = server.ask("/v1/chat/completions", body);
    const std::string text = alone.at("text").as_string("text");
    EXPECT_EQ(choice_of(reply).at("message").at("content").as_string("content"), text);
    const auto& entries = choice_of(reply).at("logprobs").at("content").as_array("content");
    ASSERT_EQ(entries.size(), alone.at("tokens").as_array("tokens").size());
    EXPECT_EQ(entries[0].at("logprob"), alone.at("logprobs").as_array("logprobs")[0]);
    EXPECT_EQ(entries[0].at("top_logprobs").as_array("top").size(), 2U);
    body.set("stream", true);
    const auto streamed = server.post("/v1/chat/completions", body.dump());
    std::string together;
    for (const Json& event : read_events(streamed->body)) {
        if (const Json* delta = choice_of(event).at("delta").find("content")) {
            together += delta->as_string("content");
        }
    }
    EXPECT_EQ(together, text);
    // A message that is gone on with: the same tokens as the text of it.
    const Json going_on = server.ask(
        "/tokenize",
        Json::Object{
            {"messages", Json::Array{Json::Object{{"role", "assistant"}, {"content", "So far "}}}},
            {"continue_final_message", true}});
    const Json written =
        server.ask("/tokenize", Json::Object{{"content", "<|im_start|>assistant\nSo far "}});
    EXPECT_EQ(going_on.at("tokens"), written.at("tokens"));
    EXPECT_EQ(server.ask("/detokenize", Json::Object{{"tokens", written.at("tokens")}})
                  .at("content")
                  .as_string("content"),
              "<|im_start|>assistant\nSo far ");
}

TEST_P(Serve, GivesNiahTheAnswersOfTheModel) {
    const ServedProcess server(
        {"--model", "m=" + path(), "--chunk", "256", "--context-length", "8192"});
    const auto niah = [&](const std::string& out, const std::vector<std::string>& more) {
        std::vector<std::string> words{ANAMNESIS_BINARY,
                                       "niah",
                                       "--lengths",
                                       "1k,2k",
                                       "--tasks",
                                       "s1",
                                       "--samples",
                                       "2",
                                       "--max-tokens",
                                       "24",
                                       "--out",
                                       (folder_.path() / out).string()};
        words.insert(words.end(), more.begin(), more.end());
        const CommandResult result = run_command(words);
        EXPECT_EQ(result.exit_code, 0) << result.errors << result.output;
        std::vector<std::string> texts;
        for (const std::string& line :
             split(io::read_text(folder_.path() / out / "results.jsonl"), '\n')) {
            if (!line.empty()) {
                const Json json = Json::parse(line);
                texts.push_back(json.at("id").as_string("id") + json.at("text").as_string("text"));
            }
        }
        std::ranges::sort(texts);
        return texts;
    };
    const auto embedded =
        niah("embedded", {"--model", "m=" + path(), "--context-length", "8192", "--chunk", "256"});
    const auto served =
        niah("served", {"--endpoint", server.url(), "--tokenizer", path(), "--model", "m=m"});
    EXPECT_EQ(embedded.size(), 4U);
    EXPECT_EQ(served, embedded);
}

}  // namespace
}  // namespace anamnesis::testing
