// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/endpoint_back_end.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "endpoint/http.hpp"
#include "endpoint/reply.hpp"

namespace anamnesis::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Waits, or returns early after `cancel`.
void pause(std::chrono::milliseconds time, const std::stop_token& cancel) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, cancel, time, [] { return false; });
}

std::string list_model_ids(const Json& models) {
    std::vector<std::string> names;
    for (const Json& model : models.at("data").as_array("'data'")) {
        names.push_back(model.at("id").as_string("'id'"));
    }
    return join(names, ", ");
}

const Json* find_model(const Json& models, const std::string& name) {
    for (const Json& model : models.at("data").as_array("'data'")) {
        if (name.empty() || model.at("id").as_string("'id'") == name) {
            return &model;
        }
    }
    return nullptr;
}

std::optional<std::size_t> find_context_length(const Json& model) {
    const Json* length = model.find("max_model_len");
    if (length != nullptr && length->is_number()) {
        return length->as_unsigned("'max_model_len'");
    }
    return std::nullopt;
}

}  // namespace

struct EndpointBackEnd::Outcome {
    std::optional<Answer> answer{};
    std::string reason{};  ///< without an answer; empty where cancelled
};

EndpointBackEnd::EndpointBackEnd(EndpointOptions options, const language::Tokenizer* tokenizer)
    : options_(std::move(options)), tokenizer_(tokenizer) {
    if (options_.transport == PromptTransport::token_ids && tokenizer_ == nullptr) {
        throw Error(ErrorKind::usage, "prompts as token ids need a tokenizer; give --tokenizer");
    }
    HttpReply reply = HttpConnection(options_).get("/v1/models");
    if (reply.status == 0) {
        throw Error(ErrorKind::not_found,
                    format("no server answers at {}: {}", options_.url, reply.body));
    }
    if (reply.status != 200) {
        throw Error(ErrorKind::unsupported,
                    format("{}/v1/models answered {}: {}; an OpenAI-compatible server is expected",
                           options_.url,
                           reply.status,
                           in_quotes(reply.body, 200)));
    }
    in_context([&] { return format("reading {}/v1/models", options_.url); },
               [&] {
                   const Json models = Json::parse(reply.body);
                   const Json* model = find_model(models, options_.model);
                   if (model == nullptr) {
                       throw Error(ErrorKind::not_found,
                                   format("{} is not served at {}; served: {}",
                                          in_quotes(options_.model),
                                          options_.url,
                                          list_model_ids(models)));
                   }
                   options_.model = model->at("id").as_string("'id'");
                   context_length_ = find_context_length(*model);
                   const Json* owner = model->find("owned_by");
                   server_ = owner != nullptr && owner->is_string() ? owner->as_string("'owned_by'")
                                                                    : std::string();
               });
}

EndpointBackEnd::~EndpointBackEnd() = default;

Json EndpointBackEnd::description() const {
    constexpr auto name = [](PromptTransport transport) {
        // The word of records is older than that of the command line.
        return transport == PromptTransport::token_ids ? "token_ids"
                                                       : find_word(transport_words, transport);
    };
    Json result = Json::Object{{"back_end", "endpoint"},
                               {"url", options_.url},
                               {"model", options_.model},
                               {"server", server_},
                               {"transport", name(options_.transport)},
                               {"concurrency", std::uint64_t{options_.concurrency}}};
    if (context_length_) {
        result.set("context_length", std::uint64_t{*context_length_});
    }
    return result;
}

Json EndpointBackEnd::make_body(const Question& question, std::size_t& prompt_tokens) const {
    Json body = Json::Object{{"model", options_.model}};
    prompt_tokens = 0;
    if (options_.transport == PromptTransport::chat) {
        Json messages = Json::array();
        messages.push_back(Json::Object{{"role", "user"}, {"content", question.input}});
        if (!question.answer_prefix.empty()) {
            messages.push_back(
                Json::Object{{"role", "assistant"}, {"content", question.answer_prefix}});
            body.set("add_generation_prompt", false);
            body.set("continue_final_message", true);
        }
        body.set("messages", std::move(messages));
        if (options_.form.enable_thinking) {
            body.set("chat_template_kwargs",
                     Json::Object{{"enable_thinking", *options_.form.enable_thinking}});
        }
    } else if (options_.transport == PromptTransport::text) {
        body.set("prompt", options_.form.render(question));
    } else {
        Json ids = Json::array();
        const auto tokens = tokenizer_->encode(options_.form.render(question),
                                               {.adds_special = !options_.form.chat});
        for (const language::TokenId id : tokens) {
            ids.push_back(std::int64_t{id});
        }
        prompt_tokens = tokens.size();
        body.set("prompt", std::move(ids));
    }
    const language::Sampling& sampling = question.sampling;
    body.set("max_tokens", std::uint64_t{question.max_new_tokens});
    body.set("temperature", sampling.temperature);
    body.set("top_p", sampling.top_p);
    body.set("seed", static_cast<std::uint64_t>(sampling.seed & 0x7FFFFFFFULL));
    body.set("presence_penalty", 0.0);
    body.set("frequency_penalty", 0.0);
    body.set("stream", false);
    if (!question.stop.empty()) {
        Json stop = Json::array();
        for (const std::string& text : question.stop) {
            stop.push_back(text);
        }
        body.set("stop", std::move(stop));
    }
    if (options_.sends_extensions) {
        body.set("top_k", sampling.top_k == 0 ? -1 : static_cast<std::int64_t>(sampling.top_k));
        body.set("min_p", 0.0);
        body.set("repetition_penalty", 1.0);
        body.set("repeat_penalty", 1.0);
        body.set("cache_prompt", false);
    }
    return body;
}

EndpointBackEnd::Outcome EndpointBackEnd::ask(HttpConnection& connection,
                                              const Question& question,
                                              const std::stop_token& cancel) const {
    const auto begin = Clock::now();
    std::size_t prompt_tokens = 0;
    const std::string body = make_body(question, prompt_tokens).dump();
    const char* path =
        options_.transport == PromptTransport::chat ? "/v1/chat/completions" : "/v1/completions";
    std::uint64_t salt = 0;
    for (const char c : question.id) {
        salt = salt * 31 + static_cast<unsigned char>(c);
    }
    Random jitter(salt);
    std::string reason;
    for (unsigned attempt = 0; attempt <= options_.retries; ++attempt) {
        if (cancel.stop_requested()) {
            return {};
        }
        const HttpReply reply = connection.post(path, body);
        if (cancel.stop_requested()) {
            return {};
        }
        Reply read = read_completion(
            reply, prompt_tokens == 0 ? std::nullopt : std::optional(prompt_tokens));
        if (auto* answer = std::get_if<Answer>(&read)) {
            answer->seconds = seconds_since(begin);
            return {.answer = std::move(*answer)};
        }
        if (const auto* refusal = std::get_if<Refusal>(&read)) {
            return {.reason = refusal->reason};
        }
        const Retry& retry = std::get<Retry>(read);
        reason = retry.reason;
        if (attempt < options_.retries) {
            const auto doubled = options_.first_pause * (1U << std::min(attempt, 10U));
            const auto with_jitter = std::chrono::milliseconds(static_cast<long>(
                static_cast<double>(doubled.count()) * (0.75 + 0.5 * jitter.uniform())));
            pause(retry.wait.value_or(with_jitter), cancel);
        }
    }
    return {.reason = format("{} (asked {} times)", reason, options_.retries + 1)};
}

/// Threads that each carry one question at a time.
class EndpointBackEnd::Workers {
public:
    Workers(EndpointBackEnd& owner, const Next& next, const Take& take, std::stop_token cancel)
        : owner_(owner), next_(next), take_(take), cancel_(std::move(cancel)) {}

    void run() {
        {
            std::vector<std::jthread> threads;
            for (std::size_t i = 0; i < owner_.options_.concurrency; ++i) {
                threads.emplace_back([this] { work(); });
            }
        }
        if (error_) {
            std::rethrow_exception(error_);
        }
    }

private:
    std::optional<Question> draw() {
        const std::lock_guard lock(mutex_);
        if (is_over_ || error_ || cancel_.stop_requested()) {
            return std::nullopt;
        }
        std::optional<Question> question = next_();
        if (!question) {
            is_over_ = true;
        }
        return question;
    }

    void work() {
        try {
            HttpConnection connection(owner_.options_);
            const std::stop_callback stop(cancel_, [&] { connection.stop(); });
            auto idle_since = Clock::now();
            while (const std::optional<Question> question = draw()) {
                const double idle = seconds_since(idle_since);
                const auto begin = Clock::now();
                const Outcome outcome = owner_.ask(connection, *question, cancel_);
                const double busy = seconds_since(begin);
                idle_since = Clock::now();
                const std::lock_guard lock(mutex_);
                if (!is_over_) {
                    const std::lock_guard figures(owner_.mutex_);
                    owner_.busy_seconds_ += busy;
                    owner_.slot_seconds_ += busy + idle;
                }
                if (outcome.answer) {
                    take_.answered(*question, *outcome.answer);
                } else if (!outcome.reason.empty()) {
                    take_.failed(*question, outcome.reason);
                }
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            error_ = error_ ? error_ : std::current_exception();
        }
    }

    EndpointBackEnd& owner_;
    const Next& next_;
    const Take& take_;
    std::stop_token cancel_;
    std::mutex mutex_;
    bool is_over_ = false;
    std::exception_ptr error_;
};

void EndpointBackEnd::answer(const Next& next, const Take& take, const std::stop_token& cancel) {
    Workers(*this, next, take, cancel).run();
}

std::optional<double> EndpointBackEnd::busy_share() const {
    const std::lock_guard lock(mutex_);
    return slot_seconds_ > 0.0 ? std::optional(busy_seconds_ / slot_seconds_) : std::nullopt;
}

}  // namespace anamnesis::eval
