// SPDX-License-Identifier: Apache-2.0
#include "endpoint/request.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/language/language_model.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "endpoint/reply.hpp"

namespace anamnesis::eval {
namespace {

void set_chat(Json& body, const Question& question, const EndpointOptions& options) {
    Json messages = Json::array();
    const bool is_continued = !question.answer_prefix.empty() && options.sends_extensions;
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
    Json variables = options.form.variables;
    if (options.form.enable_thinking) {
        variables.set("enable_thinking", *options.form.enable_thinking);
    }
    if (!variables.is_null() && options.sends_extensions) {
        body.set("chat_template_kwargs", std::move(variables));
    }
}

/// Gives back the number of tokens.
std::size_t set_token_ids(Json& body,
                          const Question& question,
                          const EndpointOptions& options,
                          const language::Tokenizer& tokenizer) {
    Json ids = Json::array();
    const auto tokens =
        tokenizer.encode(options.form.render(question), {.adds_special = !options.form.chat});
    for (const language::TokenId id : tokens) {
        ids.push_back(std::int64_t{id});
    }
    body.set("prompt", std::move(ids));
    return tokens.size();
}

/// What a server must read at least: of a chat we know the turn, and not what its template adds.
std::optional<std::size_t> count_text_tokens(const Question& question,
                                             const EndpointOptions& options,
                                             const language::Tokenizer* tokenizer) {
    if (tokenizer == nullptr) {
        return std::nullopt;
    }
    const bool is_chat = options.transport == PromptTransport::chat;
    return tokenizer
        ->encode(is_chat ? question.input : options.form.render(question), {.adds_special = false})
        .size();
}

void set_decoding(Json& body, const Question& question, const EndpointOptions& options) {
    const language::Sampling& sampling = question.sampling;
    body.set(options.limits_completion ? "max_completion_tokens" : "max_tokens",
             std::uint64_t{question.max_new_tokens});
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
    if (options.sends_extensions) {
        // One of the likeliest is the same as greedy, and servers that take no -1 take it.
        const std::int64_t all = sampling.temperature == 0.0 ? 1 : -1;
        body.set("top_k", sampling.top_k == 0 ? all : static_cast<std::int64_t>(sampling.top_k));
        body.set("min_p", 0.0);
        body.set("repetition_penalty", 1.0);
        body.set("repeat_penalty", 1.0);
        body.set("cache_prompt", question.cache == CacheUse::allowed);
        if (question.cache == CacheUse::forbidden) {
            // vLLM and SGLang keep states by salt, whatever cache_prompt says.
            body.set("cache_salt", question.id);
        }
    }
}

void ask_for_tokens(Json& body, const EndpointOptions& options) {
    constexpr int alternatives = 5;  // the most that OpenAI's completions allow
    if (options.transport == PromptTransport::chat) {
        body.set("logprobs", true);
        body.set("top_logprobs", alternatives);
    } else {
        body.set("logprobs", alternatives);
    }
    if (options.sends_extensions) {
        body.set("return_token_ids", true);
    }
}

}  // namespace

void require_tokenizer(PromptTransport transport, const language::Tokenizer* tokenizer) {
    if (transport == PromptTransport::token_ids && tokenizer == nullptr) {
        throw Error(ErrorKind::usage, "prompts as token ids need a tokenizer; give --tokenizer");
    }
}

CompletionRequest make_request(const Question& question,
                               const EndpointOptions& options,
                               const language::Tokenizer* tokenizer) {
    const bool is_chat = options.transport == PromptTransport::chat;
    CompletionRequest request{.path = is_chat ? "/v1/chat/completions" : "/v1/completions",
                              .sent = {.transport = options.transport,
                                       .max_new_tokens = question.max_new_tokens,
                                       .has_extensions = options.sends_extensions,
                                       .wants_tokens = question.wants_tokens,
                                       .model_option = options.model_option}};
    Json body = Json::Object{{"model", options.model}};
    if (is_chat) {
        set_chat(body, question, options);
    } else if (options.transport == PromptTransport::text) {
        body.set("prompt", options.form.render(question));
        if (options.form.chat && options.sends_extensions) {
            // The template wrote the BOS already.
            body.set("add_special_tokens", false);
        }
    } else if (const std::size_t tokens = set_token_ids(body, question, options, *tokenizer);
               tokens > 0) {
        request.sent.tokens = tokens;
    }
    if (!is_chat) {
        request.sent.prompt = options.form.render(question);
    }
    if (options.transport != PromptTransport::token_ids) {
        request.sent.text_tokens = count_text_tokens(question, options, tokenizer);
    }
    set_decoding(body, question, options);
    if (question.wants_tokens) {
        ask_for_tokens(body, options);
    }
    request.body = body.dump();
    return request;
}

}  // namespace anamnesis::eval
