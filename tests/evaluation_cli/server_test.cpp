// SPDX-License-Identifier: Apache-2.0
//
// The real binary and how it finds, keeps and doubts a server: transport, second answers, proxies,
// certificates.
#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"

#include "json_schema.hpp"
#include "needle_model.hpp"
#include "openai_server.hpp"
#include "run_command.hpp"
#include "temporary_folder.hpp"

namespace anamnesis::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Fault = std::optional<std::pair<int, std::string>>;

const std::string tokenizer = std::string(ANAMNESIS_TESTDATA) + "/tokenizer/tiny/qwen2";

class Server : public ::testing::Test {
protected:
    CommandResult niah(const std::string& url,
                       const std::vector<std::string>& more = {},
                       const CommandOptions& options = {}) const {
        std::vector<std::string> words{ANAMNESIS_BINARY,
                                       "niah",
                                       "--endpoint",
                                       url,
                                       "--tokenizer",
                                       tokenizer,
                                       "--samples",
                                       "2",
                                       "--retries",
                                       "0",
                                       "--out",
                                       (folder_.path() / "r").string()};
        words.insert(words.end(), more.begin(), more.end());
        if (std::ranges::find(more, "--lengths") == more.end()) {
            words.insert(words.end(), {"--tasks", "s1", "--lengths", "2k"});
        }
        return run_command(words, options);
    }
    Json record() const { return Json::parse(io::read_text(folder_.path() / "r/run.json")); }

    TemporaryFolder folder_;
};

/// Text alone, and no field beyond OpenAI's.
Fault refuse_as_transformers(const Json& body, bool /*is_chat*/) {
    if (body.find("top_k") != nullptr) {
        return {{422, R"({"detail":"Unexpected fields in the request: {'top_k'}"})"}};
    }
    return body.at("prompt").is_string() ? Fault{}
                                         : Fault{{400, R"({"detail":"prompt must be a string."})"}};
}

TEST_F(Server, IsAskedAsItAnswersAndTheRunSaysHow) {
    auto model = needle_model(1U << 30U);
    OpenAiServer server(model);
    server.refuse(refuse_as_transformers);
    const CommandResult result = niah(server.url());
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_THAT(result.output, HasSubstr("prompts go as text, without fields beyond OpenAI's"));
    const Json served = record().at("checkpoints").at("served");
    EXPECT_EQ(served.at("transport").as_string("transport"), "text");
    EXPECT_FALSE(served.at("extensions").as_boolean("extensions"));
    EXPECT_THAT(io::read_text(folder_.path() / "r/report.html"), HasSubstr("served: transport"));
}

TEST_F(Server, IsAskedInTheSameWayWhenARunGoesOn) {
    auto model = needle_model(1U << 30U);
    {
        // Four trials, of which the last is answered, and one sample; the other is refused.
        OpenAiServer broken(model, [](std::size_t request) -> Fault {
            return request == 5 ? Fault{{400, "no"}} : Fault{};
        });
        broken.refuse(refuse_as_transformers);
        EXPECT_EQ(niah(broken.url(), {"--concurrency", "1"}).exit_code, 7);
    }
    OpenAiServer server(model);
    ASSERT_TRUE(fs::exists(folder_.path() / "r")) << "one answer is kept";
    const std::string before = record().at("checkpoints").at("served").at("transport").dump();
    EXPECT_EQ(before, "\"text\"");
    const CommandResult other = niah(server.url(), {"--transport", "chat"});
    EXPECT_EQ(other.exit_code, 6) << other.errors;
    const std::size_t asked = server.requests();
    EXPECT_EQ(asked, 0U);
    const CommandResult rest = niah(server.url());
    EXPECT_EQ(rest.exit_code, 0) << rest.errors;
    EXPECT_EQ(server.requests(), 1U) << "no trial question, and what is answered is not asked";
    EXPECT_EQ(record().at("checkpoints").at("served").at("transport").dump(), before);
}

TEST_F(Server, IsAskedTwiceWhereThatIsWanted) {
    auto model = needle_model(1U << 30U);
    const OpenAiServer steady(model);
    const std::vector<std::string> twice{"--twice", "--transport", "text", "--json"};
    const CommandResult same = niah(steady.url(), twice);
    ASSERT_EQ(same.exit_code, 0) << same.errors;
    const Json summary = Json::parse(same.output.substr(same.output.find("{\n")));
    EXPECT_THAT(find_deviations(summary, read_schema("niah")), IsEmpty());
    const Json& figures = summary.at("repeats").as_array("repeats").front();
    EXPECT_EQ(figures.at("pairs").as_unsigned("pairs"), 2U);
    EXPECT_EQ(figures.at("differing").as_unsigned("differing"), 0U);
    // Trial, two samples, and both again with the cache allowed.
    ASSERT_EQ(steady.bodies().size(), 5U);
    EXPECT_FALSE(steady.bodies()[1].at("cache_prompt").as_boolean("cache_prompt"));
    EXPECT_TRUE(steady.bodies()[4].at("cache_prompt").as_boolean("cache_prompt"));
    fs::remove_all(folder_.path() / "r");

    const OpenAiServer fickle(model, [](std::size_t request) -> Fault {
        return request == 3 ? Fault{{200,
                                     R"({"choices": [{"text": " something else", )"
                                     R"("finish_reason": "stop"}]})"}}
                            : Fault{};
    });
    const CommandResult other =
        niah(fickle.url(), {"--twice", "--transport", "text", "--concurrency", "1"});
    ASSERT_EQ(other.exit_code, 0) << other.errors;
    EXPECT_THAT(other.output, HasSubstr("served: 1 of 2 answers differ when asked twice"));
}

TEST_F(Server, LeavesOutATaskThatALengthHasNoRoomFor) {
    auto model = needle_model(1U << 30U);
    const OpenAiServer server(model);
    const CommandResult none =
        niah(server.url(), {"--transport", "text", "--tasks", "s1", "--lengths", "150"});
    EXPECT_EQ(none.exit_code, 2) << none.errors;
    EXPECT_FALSE(fs::exists(folder_.path() / "r")) << "a refusal leaves nothing";
    const CommandResult some =
        niah(server.url(), {"--transport", "text", "--tasks", "s1,s3", "--lengths", "600,2k"});
    ASSERT_EQ(some.exit_code, 0) << some.errors;
    const std::string page = io::read_text(folder_.path() / "r/report.html");
    EXPECT_THAT(some.errors + some.output, HasSubstr("left out: "));
    EXPECT_THAT(page, HasSubstr("Left out: "));
}

/// A server of one answer, of httplib's own kinds.
template <class Http>
class OneAnswer {
public:
    template <class... Arguments>
    explicit OneAnswer(Arguments&&... arguments) : http_(std::forward<Arguments>(arguments)...) {
        http_.Get(R"(.*/v1/models)", [](const httplib::Request&, httplib::Response& response) {
            response.set_content(R"({"data": [{"id": "m"}]})", "application/json");
        });
        http_.Post(
            R"(.*/v1/completions)", [](const httplib::Request&, httplib::Response& response) {
                response.set_content(R"({"choices": [{"text": " 1.", "finish_reason": "stop"}]})",
                                     "application/json");
            });
        port_ = http_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread([this] { http_.listen_after_bind(); });
        while (!http_.is_running()) {
            std::this_thread::yield();
        }
    }
    ~OneAnswer() {
        http_.stop();
        thread_.join();
    }
    OneAnswer(const OneAnswer&) = delete;
    OneAnswer& operator=(const OneAnswer&) = delete;

    int port() const { return port_; }

private:
    Http http_;
    int port_ = 0;
    std::thread thread_;
};

TEST_F(Server, IsReachedThroughTheProxyThatTheEnvironmentNames) {
    const OneAnswer<httplib::Server> proxy;
    const std::string address = format("http://127.0.0.1:{}", proxy.port());
    const CommandResult through =
        niah("http://model.invalid", {}, {.environment = {{"http_proxy", address}}});
    EXPECT_EQ(through.exit_code, 0) << through.errors;
    fs::remove_all(folder_.path() / "r");
    const CommandResult around =
        niah("http://other.invalid",
             {},
             {.environment = {{"http_proxy", address}, {"NO_PROXY", "localhost,.invalid"}}});
    EXPECT_EQ(around.exit_code, 3) << around.errors;
    EXPECT_THAT(around.errors, HasSubstr("no server answers at http://other.invalid"));
}

TEST_F(Server, IsTrustedByItsCertificateOrOnRequest) {
    const std::string certificate = (folder_.path() / "cert.pem").string();
    const std::string key = (folder_.path() / "key.pem").string();
    const CommandResult made = run_command({"/usr/bin/openssl",
                                            "req",
                                            "-x509",
                                            "-newkey",
                                            "rsa:2048",
                                            "-nodes",
                                            "-keyout",
                                            key,
                                            "-out",
                                            certificate,
                                            "-days",
                                            "2",
                                            "-subj",
                                            "/CN=127.0.0.1",
                                            "-addext",
                                            "subjectAltName=IP:127.0.0.1"});
    ASSERT_EQ(made.exit_code, 0) << made.errors;
    const OneAnswer<httplib::SSLServer> server(certificate.c_str(), key.c_str());
    const std::string url = format("https://127.0.0.1:{}", server.port());
    const CommandResult unknown = niah(url);
    EXPECT_EQ(unknown.exit_code, 3) << unknown.output;
    EXPECT_THAT(unknown.errors, AllOf(HasSubstr("SSL_CERT_FILE"), HasSubstr("--insecure")));
    const CommandResult known = niah(url, {}, {.environment = {{"SSL_CERT_FILE", certificate}}});
    EXPECT_EQ(known.exit_code, 0) << known.errors;
    fs::remove_all(folder_.path() / "r");
    const CommandResult taken = niah(url, {"--insecure"});
    EXPECT_EQ(taken.exit_code, 0) << taken.errors;
    EXPECT_THAT(taken.errors, Not(HasSubstr("SSL")));
}

}  // namespace
}  // namespace anamnesis::testing
