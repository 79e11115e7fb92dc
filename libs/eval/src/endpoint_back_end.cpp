// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/eval/endpoint_back_end.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
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

#include "endpoint/answer_faults.hpp"
#include "endpoint/http.hpp"
#include "endpoint/models.hpp"
#include "endpoint/reply.hpp"
#include "endpoint/request.hpp"

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
    require_tokenizer(options_.transport, tokenizer_);
    ServedModel model = find_served_model(options_);
    options_.model = std::move(model.name);
    context_length_ = model.context_length;
    server_ = std::move(model.owner);
    is_unlisted_ = !model.is_listed;
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
    result.set("extensions", options_.sends_extensions);
    if (options_.limits_completion) {
        result.set("max_completion_tokens", true);
    }
    if (context_length_) {
        result.set("context_length", std::uint64_t{*context_length_});
    }
    return result;
}

EndpointBackEnd::Outcome EndpointBackEnd::ask(
    HttpConnection& connection,
    const Question& question,
    const std::function<void(const std::string&)>& troubled,
    const std::stop_token& cancel) const {
    const auto begin = Clock::now();
    const CompletionRequest request = make_request(question, options_, tokenizer_);
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
        const HttpReply reply = connection.post(request.path, request.body);
        if (cancel.stop_requested()) {
            return {};
        }
        Reply read = read_completion(reply, request.sent);
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
            troubled(reason);
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
                const Outcome outcome = owner_.ask(
                    connection,
                    *question,
                    [this](const std::string& reason) { tell_trouble(reason); },
                    cancel_);
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
                    is_troubled_ = false;
                    equal_failures_ = 0;
                    owner_.note(*outcome.answer);
                    take_.answered(*question, *outcome.answer);
                } else if (!outcome.reason.empty()) {
                    take_.failed(*question, outcome.reason);
                    stop_at_equal_failures(outcome);
                }
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            error_ = error_ ? error_ : std::current_exception();
        }
    }

    void tell_trouble(const std::string& reason) {
        const std::lock_guard lock(mutex_);
        if (!std::exchange(is_troubled_, true) && take_.troubled) {
            take_.troubled(reason);
        }
    }

    /// A server that refuses ten questions alike, and has answered none, refuses all; and one that
    /// ten questions in a row did not reach, however often they were asked, is gone.
    void stop_at_equal_failures(const Outcome& outcome) {
        constexpr unsigned most = 10;
        equal_failures_ = outcome.reason == last_failure_ ? equal_failures_ + 1 : 1;
        last_failure_ = outcome.reason;
        const bool counts = !outcome.is_final || !is_any_answered_;
        if (counts && equal_failures_ >= most) {
            throw Error(ErrorKind::io,
                        format("{} {} questions {}: {}",
                               is_any_answered_ ? "the last" : "the first",
                               most,
                               outcome.is_final ? "were all refused alike"
                                                : "all stayed without an answer alike",
                               outcome.reason));
        }
    }

    EndpointBackEnd& owner_;
    const Next& next_;
    const Take& take_;
    std::stop_token cancel_;
    std::mutex mutex_;
    bool is_over_ = false;
    bool is_any_answered_ = false;
    bool is_troubled_ = false;
    unsigned equal_failures_ = 0;
    std::string last_failure_;
    std::exception_ptr error_;
};

void EndpointBackEnd::answer(const Next& next, const Take& take, const std::stop_token& cancel) {
    Workers(*this, next, take, cancel).run();
}

void EndpointBackEnd::note(const Answer& answer) {
    const std::lock_guard lock(mutex_);
    uncounted_ += answer.is_counted ? 0 : 1;
    clearly_fewer_ += answer.unread_tokens > 0 ? 1 : 0;
    most_unread_ = std::max(most_unread_, answer.unread_tokens);
    all_thinking_ += answer.was_all_thinking ? 1 : 0;
    ++taken_;
    empty_ += answer.text.find_first_not_of(" \t\r\n") == std::string::npos ? 1 : 0;
    echoed_ += answer.was_echoed ? 1 : 0;
    capped_ += answer.was_capped ? 1 : 0;
    if (!answer.model.empty() && are_other_models(answer.model, options_.model)) {
        other_model_ = answer.model;
    }
}

std::vector<std::string> EndpointBackEnd::list_notes() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> notes;
    if (is_unlisted_) {
        notes.push_back(
            format("{} is not in the server's list of models; it was asked by that name",
                   in_quotes(options_.model)));
    }
    if (uncounted_ > 0) {
        notes.push_back(
            format("the server did not say how many prompt tokens it read for {} answers: "
                   "a cut prompt would not be seen",
                   uncounted_));
    }
    if (clearly_fewer_ > 0) {
        notes.push_back(
            format("the server read clearly fewer prompt tokens than the tokenizer counts for {} "
                   "answers, up to {} fewer: it cuts prompts, or has another tokenizer; cut "
                   "prompts make answers wrong",
                   clearly_fewer_,
                   most_unread_));
    }
    if (all_thinking_ > 0) {
        notes.push_back(
            format("{} answers came as thinking alone (reasoning_content): the server's "
                   "reasoning parser met no end of thinking; they were taken as answers",
                   all_thinking_));
    }
    if (taken_ > 1 && empty_ == taken_) {
        notes.push_back(format("all {} answers are empty", taken_));
    }
    if (echoed_ > 0) {
        notes.push_back(
            format("the server repeated the prompt before {} answers (echo): what came after it "
                   "was taken as the answer",
                   echoed_));
    }
    if (capped_ > 0) {
        notes.push_back(
            format("the server cut {} answers after fewer tokens than they were allowed: it has a "
                   "limit of its own, and what was cut may be wrong for that alone",
                   capped_));
    }
    if (!other_model_.empty()) {
        notes.push_back(format("the server says that {} answered, where {} was asked",
                               in_quotes(other_model_),
                               in_quotes(options_.model)));
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
