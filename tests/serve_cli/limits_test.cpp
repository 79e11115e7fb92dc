// SPDX-License-Identifier: Apache-2.0
//
// The real binary as a server: what it refuses, and clients that do not behave.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"

#include "run_command.hpp"
#include "served_process.hpp"
#include "temporary_folder.hpp"
#include "tiny_model.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ServeLimits : public ::testing::Test {
protected:
    ServeLimits() { write_tiny_model(folder_, "hypenet_base"); }

    std::vector<std::string> options(std::vector<std::string> more = {}) const {
        more.insert(more.begin(), {"--model", "m=" + folder_.path().string()});
        return more;
    }
    static std::string endless(std::size_t tokens = 30000) {
        return Json(Json::Object{{"prompt", "a needle"},
                                 {"max_tokens", std::uint64_t{tokens}},
                                 {"ignore_eos", true}})
            .dump();
    }
    /// Waits until a metric has a value, three minutes at most.
    static bool comes_to(const ServedProcess& server, const std::string& metric, double value) {
        const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(3);
        while (server.metric(metric) != value) {
            if (std::chrono::steady_clock::now() > patience) {
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
        return true;
    }

    TemporaryFolder folder_;
};

/// A connection that does as it is told.
class RawConnection {
public:
    explicit RawConnection(const std::string& url) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port =
            htons(static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
        ::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
        EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        const timeval patience{.tv_sec = 60, .tv_usec = 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    ~RawConnection() { close(); }
    RawConnection(const RawConnection&) = delete;
    RawConnection& operator=(const RawConnection&) = delete;

    void send(const std::string& bytes) const {
        static_cast<void>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    }
    void post(const std::string& path, const std::string& body) const {
        send("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" +
             "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    std::string read_some() const {
        std::string bytes(4096, '\0');
        const auto count = ::recv(socket_, bytes.data(), bytes.size(), 0);
        bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        return bytes;
    }
    void close() {
        if (socket_ >= 0) {
            ::close(socket_);
        }
        socket_ = -1;
    }

private:
    int socket_;
};

TEST_F(ServeLimits, SaysWhatIsWrongInOneSentenceAndTheRightStatus) {
    const ServedProcess server(options({"--max-body", "1", "--context-length", "100"}));
    const auto refusal = [&](const std::string& path, const std::string& body) {
        const auto result = server.post(path, body);
        if (!result) {
            return std::string("no reply");
        }
        const Json error = Json::parse(result->body).at("error");
        return std::to_string(result->status) + " " + error.at("message").as_string("message");
    };
    EXPECT_THAT(refusal("/v1/completions", "{"), HasSubstr("400"));
    EXPECT_THAT(refusal("/v1/completions", R"({"prompt": ""})"), HasSubstr("prompt is empty"));
    EXPECT_THAT(refusal("/v1/completions", R"({"prompt": [5000]})"),
                HasSubstr("400 token id 5000 is outside the vocabulary of 427"));
    EXPECT_THAT(refusal("/v1/completions", R"({"prompt": "a", "max_tokens": 500})"),
                HasSubstr("400 this model's maximum context length is 100 tokens"));
    EXPECT_THAT(refusal("/v1/completions", R"({"prompt": "a", "model": "other"})"),
                HasSubstr("404 the model 'other' is not served; served: m"));
    EXPECT_THAT(refusal("/v1/completions", R"({"prompt": "a", "n": 100})"),
                HasSubstr("400 100 answers to one prompt are asked for by 'n'; at most 16"));
    EXPECT_THAT(refusal("/v1/completions", std::string(3U << 20U, ' ')), HasSubstr("413"));
    EXPECT_THAT(refusal("/v1/nothing", "{}"), HasSubstr("404 nothing is served at POST"));
    const auto form = server.connect()->Post("/v1/completions", R"({"prompt": "a"})", "text/plain");
    EXPECT_EQ(form->status, 415);
    const auto packed =
        server.post("/v1/completions", R"({"prompt": "a"})", {{"Content-Encoding", "gzip"}});
    ASSERT_TRUE(packed);
    EXPECT_EQ(packed->status, 415);
    EXPECT_EQ(server.connect()->Get("/health")->status, 200);
}

TEST_F(ServeLimits, AsksForTheKey) {
    const ServedProcess server(options({"--api-key", "secret"}));
    const std::string body = R"({"prompt": "a", "max_tokens": 1})";
    const auto with = [&](const std::string& value) {
        return server.post("/v1/completions", body, {{"Authorization", value}})->status;
    };
    EXPECT_EQ(server.post("/v1/completions", body)->status, 401);
    EXPECT_EQ(with("Bearer secreT"), 401);
    EXPECT_EQ(with("Bearer secret"), 200);
    EXPECT_EQ(server.connect()->Get("/v1/models")->status, 401);
    EXPECT_EQ(server.connect()->Get("/metrics")->status, 401);
    EXPECT_EQ(server.connect()->Get("/health")->status, 200);
}

TEST_F(ServeLimits, ServesSeveralModelsByName) {
    TemporaryFolder other;
    write_tiny_model(other, "qwen3_base");
    const ServedProcess server(options({"--model", other.path().string()}));
    const Json models = Json::parse(server.connect()->Get("/v1/models")->body).at("data");
    ASSERT_EQ(models.as_array("data").size(), 2U);
    EXPECT_EQ(models.as_array("data")[0].at("id").as_string("id"), "m");
    const std::string second = models.as_array("data")[1].at("id").as_string("id");
    EXPECT_EQ(second, other.path().filename().string());
    EXPECT_EQ(models.as_array("data")[1].at("max_model_len").as_unsigned("length"), 512U);
    const auto ask = [&](const std::string& name) {
        return server
            .ask("/v1/completions",
                 Json::Object{{"model", name}, {"prompt", "a needle"}, {"temperature", 0}})
            .at("choices");
    };
    EXPECT_NE(ask("m"), ask(second));
    EXPECT_EQ(server.post("/v1/completions", R"({"prompt": "a"})")->status, 400)
        << "which one is not said";
    EXPECT_EQ(server.connect()->Get("/v1/models/m")->status, 200);
    EXPECT_EQ(server.connect()->Get("/v1/models/x")->status, 404);
}

TEST_F(ServeLimits, RefusesMoreThanMayWait) {
    const ServedProcess server(options({"--max-sequences", "1", "--max-waiting", "1"}));
    const RawConnection running(server.url());
    running.post("/v1/completions", endless());
    ASSERT_TRUE(comes_to(server, "answers_running", 1.0));
    const RawConnection waiting(server.url());
    waiting.post("/v1/completions", endless());
    ASSERT_TRUE(comes_to(server, "prompts_waiting", 1.0));
    const auto refused = server.post("/v1/completions", endless(1));
    EXPECT_EQ(refused->status, 429);
    EXPECT_EQ(refused->get_header_value("Retry-After"), "1");
    EXPECT_EQ(server.metric("prompts_refused_total"), 1.0);
}

TEST_F(ServeLimits, EndsTheAnswersOfClientsThatHangUp) {
    const ServedProcess server(options());
    for (const std::string stream : {"false", "true"}) {
        RawConnection client(server.url());
        client.post("/v1/completions",
                    R"({"prompt": "a", "ignore_eos": true, "max_tokens": 30000, "stream": )" +
                        stream + "}");
        ASSERT_TRUE(comes_to(server, "answers_running", 1.0)) << stream;
        client.close();
        EXPECT_TRUE(comes_to(server, "answers_running", 0.0)) << stream;
    }
    EXPECT_LT(server.metric("new_tokens_total"), 30000.0);
    EXPECT_EQ(server.metric("state_reserved_bytes"), 0.0);
}

TEST_F(ServeLimits, IsNotHeldUpByAClientThatDoesNotRead) {
    const ServedProcess server(options());
    const RawConnection deaf(server.url());
    deaf.post("/v1/completions",
              R"({"prompt": "a", "ignore_eos": true, "max_tokens": 30000, "stream": true,)"
              R"( "logprobs": 20, "n": 8})");
    ASSERT_TRUE(comes_to(server, "answers_running", 8.0));
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(server.post("/v1/completions", endless(20))->status, 200);
    }
    EXPECT_TRUE(comes_to(server, "answers_running", 0.0)) << "what is not read is not made";
}

TEST_F(ServeLimits, OutlivesGarbage) {
    const ServedProcess server(options());
    Random random(3);
    for (int round = 0; round < 60; ++round) {
        const RawConnection client(server.url());
        std::string bytes = round % 2 == 0 ? "POST /v1/completions HTTP/1.1\r\nContent-Type: "
                                             "application/json\r\nContent-Length: 40\r\n\r\n"
                                           : "";
        for (int i = 0; i < 300; ++i) {
            bytes += static_cast<char>(random.below(256));
        }
        client.send(bytes);
    }
    EXPECT_EQ(server.post("/v1/completions", endless(3))->status, 200);
}

/// 0 where there was no reply.
int status_of(const httplib::Result& result) {
    return result ? result->status : 0;
}

TEST_F(ServeLimits, EndsWhatIsUnderWayBeforeItStops) {
    ServedProcess server(options());
    std::atomic<int> status = 0;
    std::jthread client([&] { status = status_of(server.post("/v1/completions", endless(400))); });
    ASSERT_TRUE(comes_to(server, "answers_running", 1.0));
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
    client.join();
    EXPECT_EQ(status, 200);
}

TEST_F(ServeLimits, DoesNotWaitLongerThanItWasTold) {
    ServedProcess server(options({"--drain", "0"}));
    std::atomic<int> status = 0;
    std::jthread client([&] { status = status_of(server.post("/v1/completions", endless())); });
    ASSERT_TRUE(comes_to(server, "answers_running", 1.0));
    server.signal(SIGINT);
    EXPECT_EQ(server.wait(), 0);
    client.join();
    EXPECT_EQ(status, 503);
}

TEST_F(ServeLimits, DoesNotWaitForRequestsThatDoNotEnd) {
    ServedProcess server(options({"--drain", "1"}));
    const RawConnection client(server.url());
    client.send(
        "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        "Content-Length: 100000\r\n\r\n{");
    ASSERT_EQ(server.post("/v1/completions", endless(3))->status, 200);
    const auto begin = std::chrono::steady_clock::now();
    server.signal(SIGTERM);
    EXPECT_EQ(server.wait(), 0);
    // Without an end to the connection it would be the 30 s after which a silent client is left.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(25));
}

TEST_F(ServeLimits, TellsABodyThatIsCutFromOneThatIsTooLarge) {
    const ServedProcess server(options({"--max-body", "1"}));
    const auto ask = [&](const std::string& length, const std::string& body) {
        const RawConnection client(server.url());
        client.send(
            "POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: "
            "application/json\r\n" +
            length + "\r\n\r\n" + body);
        // The server closes the connection after it.
        std::string reply;
        for (std::string part = client.read_some(); !part.empty(); part = client.read_some()) {
            reply += part;
        }
        return reply;
    };
    EXPECT_THAT(ask("Content-Length: 2000000", std::string(2'000'000, ' ')), HasSubstr(" 413 "));
    EXPECT_THAT(ask("Transfer-Encoding: chunked", "zz\r\nabc"),
                AllOf(HasSubstr(" 400 "), HasSubstr("did not arrive whole")));
}

TEST_F(ServeLimits, RefusesABodyWithoutAUsefulLengthAtOnce) {
    const ServedProcess server(options({"--max-body", "1"}));
    const auto ask =
        [&](const std::string& method, const std::string& path, const std::string& more) {
            const RawConnection client(server.url());
            client.send(method + " " + path +
                        " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" + more);
            std::string reply;
            for (std::string part = client.read_some(); !part.empty(); part = client.read_some()) {
                reply += part;
                if (reply.ends_with("}}")) {
                    break;
                }
            }
            return reply;
        };
    const auto with_length = [&](const std::string& length) {
        return ask("POST", "/v1/completions", "Content-Length: " + length + "\r\n\r\n{}");
    };
    const auto begin = std::chrono::steady_clock::now();
    for (const std::string length : {"-5", "five", "5x"}) {
        EXPECT_THAT(with_length(length),
                    AllOf(HasSubstr(" 400 "), HasSubstr("not '" + length + "'")));
    }
    for (const char* length : {"99999999", "99999999999999999999999"}) {
        EXPECT_THAT(with_length(length), AllOf(HasSubstr(" 413 "), HasSubstr("--max-body")));
    }
    EXPECT_THAT(ask("POST", "/v1/completions", "\r\n"),
                AllOf(HasSubstr(" 400 "), HasSubstr("the request has no body")));
    EXPECT_THAT(ask("POST", "/v1/completions", "Content-Length: 0\r\n\r\n"),
                AllOf(HasSubstr(" 400 "), HasSubstr("the request has no body")));
    for (const std::string method : {"PUT", "PATCH", "DELETE"}) {
        EXPECT_THAT(ask(method, "/v1/completions", "\r\n"),
                    AllOf(HasSubstr(" 405 "),
                          HasSubstr("Allow: POST"),
                          HasSubstr("'/v1/completions' is asked by POST, not by " + method)));
    }
    EXPECT_THAT(ask("PUT", "/v1/models", "Content-Length: 2\r\n\r\n{}"),
                AllOf(HasSubstr(" 405 "), HasSubstr("'/v1/models' is asked by GET, not by PUT")));
    EXPECT_THAT(ask("PUT", "/nothing", "\r\n"),
                AllOf(HasSubstr(" 404 "), HasSubstr("nothing is served at PUT '/nothing'")));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(25))
        << "a silent client is left after 30 s";
    EXPECT_EQ(server.post("/v1/completions", endless(3))->status, 200);
}

TEST_F(ServeLimits, SaysWhyItDoesNotStart) {
    const auto run = [&](std::vector<std::string> words) {
        words.insert(words.begin(), {ANAMNESIS_BINARY, "serve"});
        return run_command(words);
    };
    const std::string path = folder_.path().string();
    const CommandResult twice =
        run({"--port", "0", "--model", "a=" + path, "--model", "a=" + path});
    EXPECT_EQ(twice.exit_code, 2);
    EXPECT_THAT(twice.errors, HasSubstr("the name 'a' is taken already"));
    const ServedProcess first(options());
    const std::string port = first.url().substr(first.url().rfind(':') + 1);
    const CommandResult taken = run({"--port", port, "--model", path});
    EXPECT_EQ(taken.exit_code, 7);
    EXPECT_THAT(taken.errors, HasSubstr("cannot be taken"));
    EXPECT_EQ(run({"--port", "0", "--model", "a=/nowhere"}).exit_code, 3);
}

}  // namespace
}  // namespace anamnesis::testing
