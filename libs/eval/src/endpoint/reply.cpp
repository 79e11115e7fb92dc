// SPDX-License-Identifier: Apache-2.0
#include "endpoint/reply.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"

namespace anamnesis::eval {
namespace {

using language::FinishReason;

bool says_overflow(std::string_view body) {
    // Wordings of vLLM, SGLang and llama-server, old and new.
    constexpr std::array<std::string_view, 6> words{"context length",
                                                    "context size",
                                                    "exceed_context_size",
                                                    "maximum context",
                                                    "context_length_exceeded",
                                                    "longer than the model"};
    std::string lower(body);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return std::ranges::any_of(
        words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

/// The server's own words: `error.message`, `message`, or the body.
std::string find_error_message(const HttpReply& reply) {
    try {
        const Json json = Json::parse(reply.body);
        const Json* error = json.find("error");
        const Json* holder = error != nullptr && error->is_object() ? error : &json;
        if (const Json* message = holder->find("message"); message && message->is_string()) {
            return message->as_string("message");
        }
        if (error != nullptr && error->is_string()) {
            return error->as_string("error");
        }
    } catch (const Error&) {
        // Not JSON: proxies answer in HTML.
    }
    return reply.body;
}

std::string explain(const HttpReply& reply) {
    return format(
        "the server answered {}: {}", reply.status, in_quotes(find_error_message(reply), 300));
}

std::optional<std::chrono::milliseconds> parse_retry_after(const std::string& header) {
    double seconds = 0.0;
    const auto result = std::from_chars(header.data(), header.data() + header.size(), seconds);
    if (result.ec != std::errc{} || !(seconds >= 0.0)) {
        return std::nullopt;
    }
    return std::chrono::milliseconds(static_cast<long>(std::min(seconds, 300.0) * 1000.0));
}

FinishReason parse_finish_reason(const std::string& word, const Json& choice) {
    if (word == "length") {
        return FinishReason::length;
    }
    const Json* stop = choice.find("stop_reason");
    return stop != nullptr && stop->is_string() ? FinishReason::stop_string
                                                : FinishReason::end_of_text;
}

Reply parse_answer(const Json& json, std::optional<std::size_t> sent_tokens) {
    if (json.find("error") != nullptr) {
        return Refusal{"the server answered 200 with an error in it"};
    }
    const auto& choices = json.at("choices").as_array("'choices'");
    if (choices.empty()) {
        return Refusal{"the server answered without a choice"};
    }
    const Json& choice = choices.front();
    Answer answer;
    const Json* message = choice.find("message");
    const Json& text = message != nullptr ? message->at("content") : choice.at("text");
    answer.text = text.is_null() ? std::string() : text.as_string("the answer's text");
    // Reasoning parsers of servers put thinking aside; it belongs to the text.
    if (message != nullptr) {
        for (const char* name : {"reasoning_content", "reasoning"}) {
            const Json* thinking = message->find(name);
            if (thinking != nullptr && thinking->is_string()) {
                answer.text = "<think>" + thinking->as_string(name) + "</think>" + answer.text;
                break;
            }
        }
    }
    const Json* finish = choice.find("finish_reason");
    const std::string reason =
        finish != nullptr && finish->is_string() ? finish->as_string("finish_reason") : "";
    if (reason != "stop" && reason != "length" && reason != "eos") {
        return Refusal{format("the answer ended by {}", in_quotes(reason))};
    }
    answer.finish = parse_finish_reason(reason, choice);
    if (const Json* usage = json.find("usage"); usage != nullptr && usage->is_object()) {
        answer.prompt_tokens = usage->at("prompt_tokens").as_unsigned("'usage.prompt_tokens'");
        if (const Json* made = usage->find("completion_tokens")) {
            answer.new_tokens = made->as_unsigned("'usage.completion_tokens'");
        }
        if (sent_tokens && answer.prompt_tokens != *sent_tokens) {
            return Refusal{
                format("the server read {} prompt tokens where {} were sent: it cuts "
                       "prompts or adds to them",
                       answer.prompt_tokens,
                       *sent_tokens)};
        }
    } else {
        answer.prompt_tokens = sent_tokens.value_or(0);
    }
    return answer;
}

}  // namespace

Reply read_completion(const HttpReply& reply, std::optional<std::size_t> sent_tokens) {
    if (reply.status == 0) {
        return Retry{format("no reply: {}", reply.body)};
    }
    if (reply.status == 200) {
        try {
            return parse_answer(Json::parse(reply.body), sent_tokens);
        } catch (const Error& error) {
            return Refusal{format("the server's answer is not understood: {}; it begins {}",
                                  error.message(),
                                  in_quotes(reply.body, 200))};
        }
    }
    if (says_overflow(reply.body)) {
        return Refusal{"the prompt is too long for the server: " + explain(reply)};
    }
    const bool is_passing =
        reply.status == 408 || reply.status == 425 || reply.status == 429 || reply.status >= 500;
    if (is_passing) {
        return Retry{explain(reply), parse_retry_after(reply.retry_after)};
    }
    return Refusal{explain(reply)};
}

}  // namespace anamnesis::eval
