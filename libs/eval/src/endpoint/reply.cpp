// SPDX-License-Identifier: Apache-2.0
#include "endpoint/reply.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/language_model.hpp"

#include "endpoint/answer_faults.hpp"
#include "endpoint/answer_tokens.hpp"
#include "endpoint/message.hpp"
#include "endpoint/server_error.hpp"

namespace anamnesis::eval {
namespace {

using language::FinishReason;

/// A reply that says 200 and holds no answer, as the status of a server that failed.
constexpr int broken_reply = 500;

std::string to_lower(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    return lower;
}

bool says_overflow(std::string_view body) {
    // Wordings of vLLM, SGLang and llama-server, old and new.
    constexpr std::array<std::string_view, 6> words{"context length",
                                                    "context size",
                                                    "exceed_context_size",
                                                    "maximum context",
                                                    "context_length_exceeded",
                                                    "longer than the model"};
    const std::string lower = to_lower(body);
    return std::ranges::any_of(
        words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

std::string explain(const HttpReply& reply) {
    return format(
        "the server answered {}: {}", reply.status, in_quotes(find_error_message(reply.body), 300));
}

std::optional<std::chrono::milliseconds> parse_retry_after(const std::string& header) {
    double seconds = 0.0;
    const auto result = std::from_chars(header.data(), header.data() + header.size(), seconds);
    if (result.ec != std::errc{} || !(seconds >= 0.0)) {
        return std::nullopt;
    }
    return std::chrono::milliseconds(static_cast<long>(std::min(seconds, 300.0) * 1000.0));
}

Refusal refuse_overflow(const std::string& explanation) {
    return {.reason = "the prompt is too long for the server: " + explanation,
            .is_understood = true};
}

Reply judge(const ServerError& error) {
    const std::string reason = format("the server answered 200: {}", in_quotes(error.message, 300));
    if (says_overflow(error.message)) {
        return refuse_overflow(reason);
    }
    if (is_passing(error.status)) {
        return Retry{.reason = reason, .status = error.status};
    }
    return Refusal{.reason = reason};
}

/// Nothing for a word that says neither.
std::optional<FinishReason> parse_finish_reason(const std::string& word, const Json& choice) {
    constexpr std::array<std::string_view, 3> cut{"length", "max_tokens", "MAX_TOKENS"};
    constexpr std::array<std::string_view, 7> ended{
        "stop", "eos", "eos_token", "end_turn", "stop_sequence", "STOP", "end_of_text"};
    if (std::ranges::find(cut, word) != cut.end()) {
        return FinishReason::length;
    }
    if (std::ranges::find(ended, word) == ended.end()) {
        return std::nullopt;
    }
    const Json* stop = choice.find("stop_reason");
    const bool names_stop = stop != nullptr && stop->is_string();
    return names_stop || word == "stop_sequence" ? FinishReason::stop_string
                                                 : FinishReason::end_of_text;
}

const std::string* find_text(const Json& object, std::string_view name) {
    const Json* text = object.find(name);
    return text != nullptr && text->is_string() ? &text->as_string(name) : nullptr;
}

std::optional<std::uint64_t> find_count(const Json& usage,
                                        std::initializer_list<const char*> names) {
    for (const char* name : names) {
        const Json* count = usage.find(name);
        if (count == nullptr || !count->is_number()) {
            continue;
        }
        // Some gateways write 89.0.
        const double number = count->as_double(name);
        if (number >= 0.0 && number < 9e15 && number == std::floor(number)) {
            return static_cast<std::uint64_t>(number);
        }
    }
    return std::nullopt;
}

/// Other versions of a tokenizer, and a chat's template, change a count by a little.
bool is_clearly_fewer(std::uint64_t read, std::size_t counted) {
    return read + 8 < counted && read < counted - counted / 10;
}

std::optional<Refusal> read_usage(const Json& json, const SentPrompt& sent, Answer& answer) {
    const Json* usage = json.find("usage");
    std::optional<std::uint64_t> read;
    if (usage != nullptr && usage->is_object()) {
        read = find_count(*usage, {"prompt_tokens", "input_tokens"});
        const auto made = find_count(*usage, {"completion_tokens", "output_tokens"});
        answer.new_tokens = made.value_or(0);
        // Engines count the last token, or a stop, in ways of their own.
        answer.was_capped =
            made && answer.finish == FinishReason::length && *made + 2 < sent.max_new_tokens;
        if (made == std::uint64_t{0} && answer.text.empty()) {
            return Refusal{.reason = "the server answered without a single token",
                           .is_understood = true};
        }
    }
    // Servers that count nothing say 0.
    read = read == std::uint64_t{0} ? std::nullopt : read;
    answer.is_counted = read.has_value();
    answer.prompt_tokens = read.value_or(sent.tokens.value_or(0));
    if (read && sent.tokens && *read != *sent.tokens) {
        return Refusal{
            .reason = format("the server read {} prompt tokens where {} were sent: it cuts prompts "
                             "or adds to them",
                             *read,
                             *sent.tokens),
            .is_miscounted = true};
    }
    if (read && sent.text_tokens && is_clearly_fewer(*read, *sent.text_tokens)) {
        answer.unread_tokens = *sent.text_tokens - *read;
    }
    return std::nullopt;
}

Reply parse_answer(const Json& json, const SentPrompt& sent) {
    if (const std::optional<ServerError> error = find_server_error(json)) {
        return judge(*error);
    }
    const Json& choices = json.at("choices");
    if (choices.is_null() || choices.as_array("'choices'").empty()) {
        return Retry{.reason = "the server answered without a choice", .status = broken_reply};
    }
    const Json& choice = choices.as_array("'choices'").front();
    const std::string* word = find_text(choice, "finish_reason");
    if (word == nullptr) {
        return Refusal{"the server does not say how the answer ended: finish_reason is null"};
    }
    const std::optional<FinishReason> finish = parse_finish_reason(*word, choice);
    if (!finish) {
        return Refusal{format("the answer ended by {}", in_quotes(*word))};
    }
    Answer answer{.text = {}, .finish = *finish};
    const Json* message = choice.find("message");
    if (message != nullptr) {
        if (!read_message(*message, *finish, answer)) {
            return Refusal{.reason =
                               "the server answered with nothing: there is no content and "
                               "no thinking",
                           .is_understood = true};
        }
    } else if (choice.at("text").is_null()) {
        return Refusal{.reason = "the server answered with nothing: text is null",
                       .is_understood = true};
    } else {
        answer.text = choice.at("text").as_string("the answer's text");
    }
    if (std::optional<Refusal> refusal = read_usage(json, sent, answer)) {
        return *std::move(refusal);
    }
    answer.was_echoed = remove_echo(sent.prompt, answer.text);
    if (const std::string* model = find_text(json, "model")) {
        answer.model = *model;
    }
    if (sent.wants_tokens) {
        answer.tokens = read_answer_tokens(choice);
    }
    return answer;
}

/// Whether a refusal is about a field beyond OpenAI's: by its name, or by the words of a strict
/// parser.
bool is_about_fields(std::string_view words) {
    constexpr std::array<std::string_view, 14> known{"extra",
                                                     "unexpected",
                                                     "unrecognized",
                                                     "unknown",
                                                     "not permitted",
                                                     "additional propert",
                                                     "top_k",
                                                     "min_p",
                                                     "repetition_penalty",
                                                     "repeat_penalty",
                                                     "cache_prompt",
                                                     "add_special_tokens",
                                                     "continue_final_message",
                                                     "chat_template_kwargs"};
    return std::ranges::any_of(
        known, [&](std::string_view word) { return words.find(word) != std::string_view::npos; });
}

/// The switch for what this server refuses; empty where none is known.
std::string find_remedy(const HttpReply& reply, const SentPrompt& sent) {
    const bool is_chat = sent.transport == PromptTransport::chat;
    const std::string words = to_lower(find_error_message(reply.body));
    const auto says = [&](std::string_view word) { return words.find(word) != std::string::npos; };
    if (reply.status == 404 && says("model")) {
        return format("it does not serve this model; name another with {}", sent.model_option);
    }
    if (reply.status == 404 || reply.status == 405 || reply.status == 501) {
        return is_chat ? "this server has no /v1/chat/completions; ask it with --transport text"
                       : "this server has no /v1/completions; ask it with --transport chat";
    }
    const bool is_about_prompt = says("prompt") || says("str_type") || says("string_type");
    if (sent.transport == PromptTransport::token_ids && is_about_prompt &&
        (says("string") || says("str") || says("text"))) {
        return "this server takes no token ids; ask it with --transport text";
    }
    if (sent.has_extensions && is_about_fields(to_lower(reply.body))) {
        return "this server takes no fields beyond OpenAI's; ask it with --plain-openai";
    }
    return {};
}

}  // namespace

Reply read_completion(const HttpReply& reply, const SentPrompt& sent) {
    if (reply.status == 0) {
        return Retry{format("no reply: {}", reply.body)};
    }
    if (reply.status >= 200 && reply.status < 300) {
        std::optional<Json> json;
        try {
            json = Json::parse(with_whole_surrogates(reply.body));
            return parse_answer(*json, sent);
        } catch (const Error& error) {
            std::string reason = format("the server's answer is not understood: {}; it begins {}",
                                        error.message(),
                                        in_quotes(reply.body, 200));
            // What is no JSON is a page of a gateway's, or broke off.
            if (!json) {
                return Retry{.reason = std::move(reason), .status = broken_reply};
            }
            return Refusal{std::move(reason)};
        }
    }
    if (says_overflow(reply.body)) {
        return refuse_overflow(explain(reply));
    }
    // llama_cpp.server says 500 to fields and prompts that it does not take.
    const bool is_final = !is_passing(reply.status) || reply.status == 501 ||
                          reply.body.find("validation error") != std::string::npos;
    if (reply.status >= 300 && reply.status < 400 && !reply.location.empty()) {
        return Refusal{
            .reason = format("the server answered {}: it is at {} now; give that address",
                             reply.status,
                             in_quotes(reply.location, 300)),
            .concerns_all = true};
    }
    const std::string remedy = is_final ? find_remedy(reply, sent) : std::string();
    if (!remedy.empty()) {
        return Refusal{.reason = explain(reply) + "; " + remedy, .concerns_all = true};
    }
    if (is_passing(reply.status)) {
        return Retry{.reason = explain(reply),
                     .wait = parse_retry_after(reply.retry_after),
                     .status = reply.status};
    }
    return Refusal{explain(reply)};
}

}  // namespace anamnesis::eval
