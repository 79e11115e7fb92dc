// SPDX-License-Identifier: Apache-2.0
#include "http/requests.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "http/fields.hpp"
#include "http/messages.hpp"

namespace anamnesis::serve {
namespace {

constexpr std::int64_t most_tokens = std::numeric_limits<TokenId>::max();
constexpr std::size_t most_name_bytes = 1024;
constexpr std::size_t most_stops = 16;
constexpr std::size_t most_stop_bytes = 1024;

TokenId parse_token(const Json& value) {
    const auto refuse = [&value] {
        throw Error(ErrorKind::usage,
                    format("{} is no token id: a list of tokens holds whole numbers from 0 to {}",
                           in_quotes(value.dump(), 60),
                           most_tokens));
    };
    std::int64_t id = -1;
    try {
        id = value.as_integer("a token id");
    } catch (const Error&) {
        refuse();
    }
    if (id < 0 || id > most_tokens) {
        refuse();
    }
    return static_cast<TokenId>(id);
}

std::vector<TokenId> parse_tokens(const Json& list) {
    std::vector<TokenId> tokens;
    for (const Json& value : list.as_array("a list of tokens")) {
        tokens.push_back(parse_token(value));
    }
    return tokens;
}

/// A text, token ids, or a list of either.
std::vector<PromptInput> parse_prompts(const Json& value) {
    if (value.is_string()) {
        return {value.as_string("'prompt'")};
    }
    const Json::Array* list = value.is_array() ? &value.as_array("'prompt'") : nullptr;
    if (list == nullptr || list->empty()) {
        refuse_member(
            "prompt", "a text, a list of token ids, or a list of several of these", value);
    }
    if (list->front().is_number()) {
        return {parse_tokens(value)};
    }
    if (list->size() > most_prompts) {
        throw Error(
            ErrorKind::usage,
            format("{} prompts in one request; at most {} are taken", list->size(), most_prompts));
    }
    std::vector<PromptInput> prompts;
    for (const Json& one : *list) {
        if (one.is_string()) {
            prompts.emplace_back(one.as_string("a prompt"));
        } else if (one.is_array()) {
            prompts.emplace_back(parse_tokens(one));
        } else {
            throw Error(ErrorKind::usage,
                        format("each prompt of a list is a text or a list of token ids, not {}",
                               in_quotes(one.dump(), 60)));
        }
    }
    return prompts;
}

std::vector<std::string> parse_stop(const Fields& fields) {
    const Json* value = fields.find("stop");
    std::vector<std::string> stops;
    if (value == nullptr) {
        return stops;
    }
    const Json::Array list = value->is_array() ? value->as_array("'stop'") : Json::Array{*value};
    for (const Json& one : list) {
        const std::string* text = one.is_string() ? &one.as_string("'stop'") : nullptr;
        if (text == nullptr || text->empty() || text->size() > most_stop_bytes ||
            stops.size() == most_stops) {
            refuse_member(
                "stop",
                format(
                    "a text or up to {} texts, of 1 to {} bytes each", most_stops, most_stop_bytes),
                *value);
        }
        stops.push_back(*text);
    }
    return stops;
}

language::Sampling parse_sampling(const Fields& fields, bool& has_seed) {
    language::Sampling sampling{
        .temperature = fields.number("temperature", 0.0, 100.0).value_or(1.0),
        .top_p = fields.number("top_p", 0.0, 1.0).value_or(1.0)};
    if (sampling.top_p == 0.0) {
        throw Error(ErrorKind::usage, "'top_p' is above 0");
    }
    const auto top_k = fields.integer("top_k", -1, most_tokens).value_or(0);
    sampling.top_k = static_cast<std::uint32_t>(std::max<std::int64_t>(top_k, 0));
    const auto seed = fields.integer(
        "seed", std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
    has_seed = seed.has_value();
    sampling.seed = static_cast<std::uint64_t>(seed.value_or(0));
    return sampling;
}

/// What both kinds of requests have; how log-probabilities are asked for differs.
/// Errors: `usage` for an answer that must have a form.
void refuse_forms(const Fields& fields) {
    const Json* form = fields.find("response_format");
    const Json* type = form == nullptr ? nullptr : form->find("type");
    if (form != nullptr && (type == nullptr || *type != Json("text"))) {
        throw Error(ErrorKind::usage, "'response_format' is not supported; leave it out");
    }
}

AnswerRequest parse_answer_request(const Fields& fields) {
    fields.refuse({"presence_penalty",
                   "frequency_penalty",
                   "min_p",
                   "logit_bias",
                   "suffix",
                   "min_tokens",
                   "stop_token_ids",
                   "use_beam_search",
                   "prompt_logprobs",
                   "guided_json",
                   "guided_regex",
                   "guided_choice",
                   "guided_grammar",
                   "structured_outputs",
                   "json_schema",
                   "grammar",
                   "allowed_token_ids",
                   "bad_words",
                   "mirostat",
                   "n_predict",
                   "include_stop_str_in_output",
                   "truncate_prompt_tokens"});
    fields.refuse({"repetition_penalty", "repeat_penalty", "typical_p"}, 1.0);
    if (!fields.boolean("skip_special_tokens").value_or(true)) {
        throw Error(ErrorKind::usage, "'skip_special_tokens' is not supported; leave it out");
    }
    refuse_forms(fields);
    AnswerRequest request{.model = fields.text("model", most_name_bytes).value_or("")};
    request.answers = static_cast<std::size_t>(fields.integer("n", 1, most_prompts).value_or(1));
    const auto best_of = fields.integer("best_of", 1, most_prompts);
    if (best_of && static_cast<std::size_t>(*best_of) != request.answers) {
        throw Error(ErrorKind::usage, "'best_of' is not supported; leave it out");
    }
    auto most = fields.integer("max_completion_tokens", 0, most_tokens);
    most = most ? most : fields.integer("max_tokens", 0, most_tokens);
    if (most) {
        request.max_new_tokens = static_cast<std::size_t>(*most);
    }
    request.decoding.sampling = parse_sampling(fields, request.has_seed);
    request.decoding.stop = parse_stop(fields);
    request.decoding.ignores_end_of_text = fields.boolean("ignore_eos").value_or(false);
    request.streams = fields.boolean("stream").value_or(false);
    if (const Json* options = fields.find("stream_options")) {
        if (!options->is_object()) {
            refuse_member("stream_options", "an object", *options);
        }
        request.streams_usage = Fields(*options).boolean("include_usage").value_or(false);
    }
    request.returns_token_ids = fields.boolean("return_token_ids").value_or(false);
    request.reuses_prefix = fields.boolean("cache_prompt").value_or(true);
    request.cache_salt = fields.text("cache_salt", most_name_bytes).value_or("");
    return request;
}

void parse_rendering(const Fields& fields, ChatRequest& request) {
    request.messages = parse_messages(fields);
    request.rendering.add_generation_prompt =
        fields.boolean("add_generation_prompt").value_or(true);
    request.continues_last = fields.boolean("continue_final_message").value_or(false);
    if (request.continues_last) {
        if (fields.boolean("add_generation_prompt").value_or(false)) {
            throw Error(ErrorKind::usage,
                        "'continue_final_message' and 'add_generation_prompt' exclude each other");
        }
        request.rendering.add_generation_prompt = false;
    }
    request.adds_special = fields.boolean("add_special_tokens").value_or(false);
    Json& variables = request.rendering.variables;
    if (const Json* more = fields.find("chat_template_kwargs")) {
        if (!more->is_object()) {
            refuse_member("chat_template_kwargs", "an object", *more);
        }
        for (const char* own : {"messages", "add_generation_prompt", "tokenize"}) {
            if (more->find(own) != nullptr) {
                throw Error(ErrorKind::usage,
                            format("'chat_template_kwargs' has {}, which is the request's own",
                                   in_quotes(own)));
            }
        }
        variables = *more;
    }
    for (const std::string_view name : {"tools", "documents"}) {
        if (const Json* value = fields.find(name)) {
            const bool is_list =
                value->is_array() && std::ranges::all_of(value->as_array(name), &Json::is_object);
            if (!is_list) {
                refuse_member(name, "a list of objects", *value);
            }
            variables.set(name, *value);
        }
    }
    if (const auto effort = fields.text("reasoning_effort", most_name_bytes)) {
        variables.set("reasoning_effort", *effort);
    }
}

ChatRequest parse_chat(const Json& body) {
    const Fields fields(body);
    fields.refuse({"functions", "audio", "prediction", "web_search_options", "chat_template"});
    if (const Json* choice = fields.find("tool_choice");
        choice != nullptr && *choice != Json("auto") && *choice != Json("none")) {
        throw Error(
            ErrorKind::usage,
            format("'tool_choice' other than \"auto\" and \"none\" is not supported; found {}",
                   in_quotes(choice->dump(), 60)));
    }
    ChatRequest request{.how = parse_answer_request(fields)};
    parse_rendering(fields, request);
    request.how.wants_logprobs = fields.boolean("logprobs").value_or(false);
    const auto top = fields.integer("top_logprobs", 0, most_alternatives).value_or(0);
    if (top > 0 && !request.how.wants_logprobs) {
        throw Error(ErrorKind::usage, "'top_logprobs' needs 'logprobs': true");
    }
    request.how.decoding.alternatives = static_cast<std::size_t>(top);
    return request;
}

}  // namespace

CompletionRequest parse_completion_request(std::string_view body) {
    const Json json = Json::parse(body);
    const Fields fields(json);
    CompletionRequest request{.how = parse_answer_request(fields)};
    const Json* prompt = fields.find("prompt");
    if (prompt == nullptr) {
        throw Error(ErrorKind::usage,
                    "a completion needs a 'prompt': a text, a list of token ids, or a list of "
                    "several of these");
    }
    request.prompts = parse_prompts(*prompt);
    request.echoes = fields.boolean("echo").value_or(false);
    request.adds_special = fields.boolean("add_special_tokens").value_or(true);
    if (const auto top = fields.integer("logprobs", 0, most_alternatives)) {
        request.how.wants_logprobs = true;
        request.how.decoding.alternatives = static_cast<std::size_t>(*top);
    }
    return request;
}

ChatRequest parse_chat_request(std::string_view body) {
    return parse_chat(Json::parse(body));
}

TokenizeRequest parse_tokenize_request(std::string_view body) {
    const Json json = Json::parse(body);
    const Fields fields(json);
    TokenizeRequest request{.model = fields.text("model", most_name_bytes).value_or("")};
    // llama-server calls the text `content` and adds nothing to it; vLLM calls it `prompt`.
    request.text = fields.text("content");
    const bool is_prompt = !request.text && fields.find("prompt") != nullptr;
    if (is_prompt) {
        request.text = fields.text("prompt");
    }
    if (request.text) {
        const auto llama = fields.boolean("add_special");
        request.adds_special =
            llama ? *llama : fields.boolean("add_special_tokens").value_or(is_prompt);
        return request;
    }
    if (fields.find("messages") == nullptr) {
        throw Error(
            ErrorKind::usage,
            "what is tokenized is one of 'content', 'prompt' and 'messages'; none is given");
    }
    parse_rendering(fields, request.chat);
    request.adds_special = request.chat.adds_special;
    return request;
}

DetokenizeRequest parse_detokenize_request(std::string_view body) {
    const Json json = Json::parse(body);
    const Fields fields(json);
    DetokenizeRequest request{.model = fields.text("model", most_name_bytes).value_or("")};
    const Json* tokens = fields.find("tokens");
    if (tokens == nullptr) {
        throw Error(ErrorKind::usage, "what is detokenized is 'tokens', a list of token ids");
    }
    if (!tokens->is_array()) {
        refuse_member("tokens", "a list of token ids", *tokens);
    }
    request.tokens = parse_tokens(*tokens);
    return request;
}

}  // namespace anamnesis::serve
