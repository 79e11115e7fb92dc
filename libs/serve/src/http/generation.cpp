// SPDX-License-Identifier: Apache-2.0
#include "http/generation.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/tokenizer.hpp"
#include "anamnesis/language/utf8.hpp"
#include "anamnesis/runtime/network.hpp"

#include "http/token_pieces.hpp"

namespace anamnesis::serve {
namespace {

constexpr std::size_t default_completion = 16;  ///< tokens, as OpenAI has it

std::uint64_t draw_number() {
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
}

void check_tokens(const ServedModel& served, std::span<const TokenId> tokens) {
    if (tokens.empty()) {
        throw Error(ErrorKind::usage, "the prompt is empty");
    }
    check_vocabulary(served, tokens);
}

/// What the answers to a prompt may take; where the request does not say `fallback`, or the rest of
/// the context.
std::size_t find_budget(const ServedModel& served,
                        const AnswerRequest& how,
                        std::size_t prompt_tokens,
                        std::optional<std::size_t> fallback) {
    const std::size_t context = served.model->context_length();
    const std::size_t room = context - std::min(prompt_tokens, context);
    const std::size_t wanted = how.max_new_tokens.value_or(std::min(fallback.value_or(room), room));
    if (prompt_tokens > context || wanted > room) {
        throw Error(ErrorKind::exhausted,
                    format("this model's maximum context length is {} tokens; {} in the prompt and "
                           "{} of the answer are asked for",
                           context,
                           prompt_tokens,
                           wanted));
    }
    return wanted;
}

void add_job(Generation& generation,
             std::vector<TokenId> prompt,
             std::optional<std::size_t> fallback) {
    check_tokens(*generation.served, prompt);
    Job job{.prompt_index = generation.jobs.size(),
            .first_answer = generation.jobs.size() * generation.how.answers,
            .answers = generation.how.answers,
            .decoding = generation.how.decoding,
            .reuses_prefix = generation.how.reuses_prefix,
            .cache_salt = generation.how.cache_salt,
            .channel = generation.channel};
    job.decoding.max_new_tokens =
        find_budget(*generation.served, generation.how, prompt.size(), fallback);
    job.decoding.is_open_ended = !generation.how.max_new_tokens && !fallback;
    generation.prompt_tokens += prompt.size();
    job.prompt = std::move(prompt);
    generation.jobs.push_back(std::move(job));
}

Generation begin(const ServedModel& served, AnswerRequest how, std::string_view kind) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    Generation generation{.served = &served, .how = std::move(how)};
    generation.created = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    generation.id = format("{}-{:016x}", kind, draw_number());
    if (!generation.how.has_seed) {
        generation.how.decoding.sampling.seed = draw_number();
    }
    generation.how.decoding.scores_tokens = generation.how.wants_logprobs;
    return generation;
}

/// What an echo begins with: the prompt as it was sent or, of token ids, as they read. Where each
/// token tells its place in the text, it is what the tokens read as, also where a tokenizer made
/// something else of what was sent (lower case, say).
std::string make_echo(const language::Tokenizer& tokenizer,
                      const std::string* sent,
                      std::span<const TokenId> tokens,
                      bool has_places) {
    if (sent != nullptr) {
        std::string text = language::replace_ill_formed(*sent);
        if (!has_places || match_tokens(tokenizer, {}, tokens, text)) {
            return text;
        }
    }
    return tokenizer.decode(tokens);
}

std::string_view trim(std::string_view text, bool at_end) {
    constexpr std::string_view blank = " \t\r\n\v\f";
    text.remove_prefix(std::min(text.find_first_not_of(blank), text.size()));
    return at_end ? text.substr(0, text.find_last_not_of(blank) + 1) : text;
}

/// Cuts a rendered chat after the text of its last message, as transformers does.
std::string cut_after_last(std::string text, const Json& messages) {
    const Json* content = messages.as_array("'messages'").back().find("content");
    if (content == nullptr || !content->is_string()) {
        throw Error(ErrorKind::usage, "the message that is continued has no text");
    }
    const std::string_view whole = content->as_string("'content'");
    const std::string_view trimmed = trim(whole, true);
    const std::size_t place = text.rfind(trimmed);
    if (trimmed.empty() || place == std::string::npos) {
        throw Error(ErrorKind::usage,
                    "the chat template does not show the text of the message that is continued");
    }
    const std::string_view with_end = trim(whole, false);
    const bool keeps_end = std::string_view(text).substr(place).starts_with(with_end);
    text.resize(place + (keeps_end ? with_end.size() : trimmed.size()));
    return text;
}

}  // namespace

void check_vocabulary(const ServedModel& served, std::span<const TokenId> tokens) {
    const std::int64_t vocabulary = served.model->network().spec().vocabulary_size;
    for (const TokenId token : tokens) {
        if (token < 0 || token >= vocabulary) {
            throw Error(ErrorKind::usage,
                        format("token id {} is outside the vocabulary of {}", token, vocabulary));
        }
    }
}

std::string render_chat(const ServedModel& served, const ChatRequest& request) {
    if (!served.chat) {
        throw Error(ErrorKind::usage,
                    format("the model {} has no chat template; ask it by /v1/completions",
                           in_quotes(served.name)));
    }
    std::string text = served.chat->render(request.messages, request.rendering);
    return request.continues_last ? cut_after_last(std::move(text), request.messages) : text;
}

Generation make_generation(const ServedModel& served, CompletionRequest request) {
    Generation generation = begin(served, std::move(request.how), "cmpl");
    const language::Tokenizer& tokenizer = served.model->tokenizer();
    for (PromptInput& input : request.prompts) {
        const auto* text = std::get_if<std::string>(&input);
        std::vector<TokenId> tokens =
            text != nullptr ? tokenizer.encode(*text, {.adds_special = request.adds_special})
                            : std::get<std::vector<TokenId>>(std::move(input));
        if (request.echoes) {
            generation.echoes.push_back(
                make_echo(tokenizer, text, tokens, generation.how.wants_logprobs));
        }
        add_job(generation, std::move(tokens), default_completion);
        generation.jobs.back().echoes_prompt = request.echoes;
        generation.jobs.back().scores_prompt = request.echoes && generation.how.wants_logprobs;
    }
    return generation;
}

Generation make_generation(const ServedModel& served, ChatRequest request) {
    const std::string text = render_chat(served, request);
    Generation generation = begin(served, std::move(request.how), "chatcmpl");
    generation.is_chat = true;
    add_job(generation,
            served.model->tokenizer().encode(text, {.adds_special = request.adds_special}),
            std::nullopt);
    return generation;
}

}  // namespace anamnesis::serve
