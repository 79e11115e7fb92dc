// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/endpoint_back_end.hpp"

#include <algorithm>
#include <chrono>
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
#include "endpoint/models.hpp"
#include "endpoint/reply.hpp"

namespace anamnesis::eval {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

struct EndpointBackEnd::Outcome {
    std::optional<Answer> answer{};
    std::string reason{};   ///< without an answer; empty where cancelled
    bool is_final = false;  ///< asking again gives the same
};

EndpointBackEnd::EndpointBackEnd(EndpointOptions options, const language::Tokenizer* tokenizer)
    : options_(std::move(options)), tokenizer_(tokenizer) {
    if (options_.transport == PromptTransport::token_ids && tokenizer_ == nullptr) {
        throw Error(ErrorKind::usage, "prompts as token ids need a tokenizer; give --tokenizer");
    }
    const HttpReply reply = ask_for_models(options_);
    in_context([&] { return format("reading {}/v1/models", options_.url); },
               [&] { read_models(reply.body); });
}

void EndpointBackEnd::read_models(const std::string& body) {
    const Json models = Json::parse(body);
    // transformers serve lists what is in its cache alone, and loads any other name.
    const bool takes_any = models.at("data").as_array("'data'").empty() && !options_.model.empty();
    if (takes_any) {
        return;
    }
    const Json& model = find_model(models, options_);
    options_.model = model.at("id").as_string("'id'");
    context_length_ = find_context_length(model);
    const Json* owner = model.find("owned_by");
    server_ =
        owner != nullptr && owner->is_string() ? owner->as_string("'owned_by'") : std::string();
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

void EndpointBackEnd::set_chat(Json& body, const Question& question) const {
    Json messages = Json::array();
    const bool is_continued = !question.answer_prefix.empty() && options_.sends_extensions;
    // OpenAI's own interface continues no answer: its beginning is asked for in words.
    const std::string input = question.answer_prefix.empty() || is_continued
                                  ? question.input
                                  : question.input + "\n\n" + question.answer_prefix;
    messages.push_back(Json::Object{{"role", "user"}, {"content", input}});
    if (is_continued) {
        messages.push_back(
            Json::Object{{"role", "assistant"}, {"content", question.answer_prefix}});
        body.set("add_generation_prompt", false);
        body.set("continue_final_message", true);
    }
    body.set("messages", std::move(messages));
    Json variables = options_.form.variables;
    if (options_.form.enable_thinking) {
        variables.set("enable_thinking", *options_.form.enable_thinking);
    }
    if (!variables.is_null() && options_.sends_extensions) {
        body.set("chat_template_kwargs", std::move(variables));
    }
}

Json EndpointBackEnd::make_body(const Question& question, std::size_t& prompt_tokens) const {
    Json body = Json::Object{{"model", options_.model}};
    prompt_tokens = 0;
    if (options_.transport == PromptTransport::chat) {
        set_chat(body, question);
    } else if (options_.transport == PromptTransport::text) {
        body.set("prompt", options_.form.render(question));
        if (options_.form.chat && options_.sends_extensions) {
            // The template wrote the BOS already.
            body.set("add_special_tokens", false);
        }
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
            reply,
            {.transport = options_.transport,
             .tokens = prompt_tokens == 0 ? std::nullopt : std::optional(prompt_tokens),
             .has_extensions = options_.sends_extensions});
        if (auto* answer = std::get_if<Answer>(&read)) {
            answer->seconds = seconds_since(begin);
            // llama-server repeats the beginning of the answer that it was given.
            if (options_.transport == PromptTransport::chat && !question.answer_prefix.empty() &&
                answer->text.starts_with(question.answer_prefix)) {
                answer->text.erase(0, question.answer_prefix.size());
            }
            return {.answer = std::move(*answer)};
        }
        if (const auto* refusal = std::get_if<Refusal>(&read)) {
            if (refusal->concerns_all) {
                throw Error(ErrorKind::io, refusal->reason);
            }
            return {.reason = refusal->reason, .is_final = true};
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
                    is_any_answered_ = true;
                    owner_.note(*outcome.answer);
                    take_.answered(*question, *outcome.answer);
                } else if (!outcome.reason.empty()) {
                    take_.failed(*question, outcome.reason);
                    stop_at_equal_refusals(outcome);
                }
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            error_ = error_ ? error_ : std::current_exception();
        }
    }

    /// A server that refuses ten questions alike, and has answered none, refuses all.
    void stop_at_equal_refusals(const Outcome& outcome) {
        constexpr unsigned most = 10;
        equal_refusals_ = outcome.is_final && outcome.reason == last_refusal_ ? equal_refusals_ + 1
                          : outcome.is_final                                  ? 1
                                                                              : 0;
        last_refusal_ = outcome.reason;
        if (!is_any_answered_ && equal_refusals_ >= most) {
            throw Error(
                ErrorKind::io,
                format("the first {} questions were all refused alike: {}", most, outcome.reason));
        }
    }

    EndpointBackEnd& owner_;
    const Next& next_;
    const Take& take_;
    std::stop_token cancel_;
    std::mutex mutex_;
    bool is_over_ = false;
    bool is_any_answered_ = false;
    unsigned equal_refusals_ = 0;
    std::string last_refusal_;
    std::exception_ptr error_;
};

void EndpointBackEnd::answer(const Next& next, const Take& take, const std::stop_token& cancel) {
    Workers(*this, next, take, cancel).run();
}

void EndpointBackEnd::note(const Answer& answer) {
    const std::lock_guard lock(mutex_);
    uncounted_ += answer.is_counted ? 0 : 1;
    all_thinking_ += answer.was_all_thinking ? 1 : 0;
}

std::vector<std::string> EndpointBackEnd::list_notes() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> notes;
    if (uncounted_ > 0) {
        notes.push_back(
            format("the server did not say how many prompt tokens it read for {} answers: "
                   "a cut prompt would not be seen",
                   uncounted_));
    }
    if (all_thinking_ > 0) {
        notes.push_back(
            format("{} answers came as thinking alone (reasoning_content): the server's "
                   "reasoning parser met no end of thinking; they were taken as answers",
                   all_thinking_));
    }
    const bool may_double = options_.transport == PromptTransport::text && options_.form.chat &&
                            !options_.sends_extensions;
    if (may_double) {
        notes.emplace_back(
            "--plain-openai cannot keep a server from putting a second BOS before a text "
            "that the chat template begins with one");
    }
    return notes;
}

std::optional<double> EndpointBackEnd::busy_share() const {
    const std::lock_guard lock(mutex_);
    return slot_seconds_ > 0.0 ? std::optional(busy_seconds_ / slot_seconds_) : std::nullopt;
}

}  // namespace anamnesis::eval
