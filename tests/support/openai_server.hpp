// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <httplib.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis {

/// A language model behind OpenAI's completions protocol, on a port of the loopback interface, and
/// the faults that real servers show.
class OpenAiServer {
public:
    /// An answer to send instead: status and body. Called for every request, counted from 0.
    using Fault = std::function<std::optional<std::pair<int, std::string>>(std::size_t request)>;

    explicit OpenAiServer(language::LanguageModel& model, Fault fault = {})
        : model_(model), fault_(std::move(fault)) {
        server_.new_task_queue = [] { return new httplib::ThreadPool(16); };
        server_.Get("/v1/models", [this](const httplib::Request&, httplib::Response& response) {
            const Json models =
                Json::Object{{"object", "list"},
                             {"data",
                              Json::Array{Json::Object{
                                  {"id", "tiny"},
                                  {"owned_by", "test"},
                                  {"max_model_len", std::uint64_t{model_.context_length()}}}}}};
            response.set_content(models.dump(), "application/json");
        });
        server_.Post("/v1/completions",
                     [this](const httplib::Request& request, httplib::Response& response) {
                         answer(request, response, false);
                     });
        server_.Post("/v1/chat/completions",
                     [this](const httplib::Request& request, httplib::Response& response) {
                         answer(request, response, true);
                     });
        port_ = server_.bind_to_any_port("127.0.0.1");
        thread_ = std::thread([this] { server_.listen_after_bind(); });
        while (!server_.is_running()) {
            std::this_thread::yield();
        }
    }
    ~OpenAiServer() {
        server_.stop();
        thread_.join();
    }
    OpenAiServer(const OpenAiServer&) = delete;
    OpenAiServer& operator=(const OpenAiServer&) = delete;

    std::string url() const { return format("http://127.0.0.1:{}", port_); }
    std::size_t requests() const { return requests_; }
    std::size_t most_at_once() const { return most_at_once_; }
    /// The bodies of all requests so far.
    std::vector<Json> bodies() const {
        const std::lock_guard lock(mutex_);
        return bodies_;
    }
    /// Makes every answer wait, so that requests overlap.
    void delay(std::chrono::milliseconds time) { delay_ = time; }
    /// What it refuses, by the body of the request. Set before the first one.
    using Refusal =
        std::function<std::optional<std::pair<int, std::string>>(const Json& body, bool is_chat)>;
    void refuse(Refusal refusal) { refusal_ = std::move(refusal); }
    /// Holds the first answers back (not that to the trial question) until this many requests are
    /// under way (or a minute is over): a client that never has as many in flight shows in
    /// `most_at_once`, however slow the machine.
    void gather(std::size_t requests) { gathered_ = requests; }

private:
    void answer(const httplib::Request& request, httplib::Response& response, bool is_chat) {
        const std::size_t number = requests_++;
        const std::size_t now = ++under_way_;
        std::size_t most = most_at_once_;
        while (now > most && !most_at_once_.compare_exchange_weak(most, now)) {
        }
        const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        while (number > 0 && most_at_once_ < gathered_ &&
               std::chrono::steady_clock::now() < patience) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        std::this_thread::sleep_for(delay_.load());
        const Json body = Json::parse(request.body);
        {
            const std::lock_guard lock(mutex_);
            bodies_.push_back(body);
        }
        auto fault = fault_ ? fault_(number) : std::nullopt;
        if (!fault && refusal_) {
            fault = refusal_(body, is_chat);
        }
        if (fault) {
            response.status = fault->first;
            response.set_content(fault->second, "application/json");
        } else {
            const std::lock_guard lock(mutex_);
            complete(body, response, is_chat);
        }
        --under_way_;
    }

    void complete(const Json& body, httplib::Response& response, bool is_chat) {
        std::vector<language::TokenId> tokens;
        if (is_chat) {
            std::string text;
            for (const Json& message : body.at("messages").as_array("messages")) {
                text += message.at("content").as_string("content");
            }
            tokens = model_.encode(text);
        } else if (body.at("prompt").is_string()) {
            tokens = model_.encode(body.at("prompt").as_string("prompt"));
        } else {
            for (const Json& id : body.at("prompt").as_array("prompt")) {
                tokens.push_back(static_cast<language::TokenId>(id.as_integer("id")));
            }
        }
        const std::size_t room = model_.context_length();
        const std::size_t wanted =
            body.at(body.find("max_tokens") != nullptr ? "max_tokens" : "max_completion_tokens")
                .as_unsigned("the budget");
        if (tokens.size() + wanted > room) {
            response.status = 400;
            response.set_content(
                format("{{\"error\": {{\"message\": \"This model's maximum context length is {} "
                       "tokens.\", \"type\": \"BadRequestError\", \"code\": 400}}}}",
                       room),
                "application/json");
            return;
        }
        const auto sequence = model_.start();
        model_.prefill(*sequence, tokens);
        language::Sequence* const pointer = sequence.get();
        const auto generation =
            model_
                .generate(
                    {&pointer, 1},
                    {.max_new_tokens = wanted,
                     .sampling = {.temperature = body.at("temperature").as_double("temperature")}})
                .front();
        const bool is_cut = generation.finish == language::FinishReason::length;
        Json choice = Json::Object{{"index", 0}, {"finish_reason", is_cut ? "length" : "stop"}};
        if (is_chat) {
            choice.set("message",
                       Json::Object{{"role", "assistant"}, {"content", generation.text}});
        } else {
            choice.set("text", generation.text);
        }
        const Json reply = Json::Object{
            {"object", "text_completion"},
            {"choices", Json::Array{std::move(choice)}},
            {"usage",
             Json::Object{{"prompt_tokens", std::uint64_t{tokens.size()}},
                          {"completion_tokens", std::uint64_t{generation.tokens.size()}}}}};
        response.set_content(reply.dump(), "application/json");
    }

    language::LanguageModel& model_;
    Fault fault_;
    Refusal refusal_;
    httplib::Server server_;
    std::thread thread_;
    int port_ = 0;
    std::atomic<std::size_t> requests_ = 0;
    std::atomic<std::size_t> under_way_ = 0;
    std::atomic<std::size_t> most_at_once_ = 0;
    std::atomic<std::size_t> gathered_ = 0;
    std::atomic<std::chrono::milliseconds> delay_{std::chrono::milliseconds(0)};
    mutable std::mutex mutex_;
    std::vector<Json> bodies_;
};

}  // namespace anamnesis
