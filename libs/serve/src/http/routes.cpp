// SPDX-License-Identifier: Apache-2.0
#include "http/routes.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <regex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <httplib.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "http/failures.hpp"
#include "http/generation.hpp"
#include "http/peer.hpp"
#include "http/replies.hpp"
#include "http/request_length.hpp"
#include "http/requests.hpp"
#include "http/stream.hpp"

namespace anamnesis::serve {
namespace {

constexpr const char* json_type = "application/json";
constexpr std::chrono::milliseconds patience{100};
/// For a body that is refused before it was read.
constexpr std::chrono::milliseconds silence{500};
constexpr std::chrono::seconds longest_body{30};

void set_json(httplib::Response& response, const Json& json) {
    response.set_content(json.dump(), json_type);
}

void set_failure(httplib::Response& response, const Failure& failure) {
    response.status = failure.status;
    if (failure.status == 429 || failure.status == 503) {
        response.set_header("Retry-After", "1");
    }
    if (failure.status == 401) {
        response.set_header("WWW-Authenticate", "Bearer");
    }
    if (!failure.allow.empty()) {
        response.set_header("Allow", failure.allow);
    }
    set_json(response, failure.to_json());
}

Peer find_peer(const httplib::Request& request) {
    return Peer::find(request.remote_addr, request.remote_port, request.local_port);
}

/// Compared in a time that tells nothing of where they differ.
bool has_key(const httplib::Request& request, const std::string& key) {
    const std::string expected = "Bearer " + key;
    const std::string given = request.get_header_value("Authorization");
    if (given.size() != expected.size()) {
        return false;
    }
    unsigned difference = 0;
    for (std::size_t i = 0; i < given.size(); ++i) {
        difference |= static_cast<unsigned char>(given[i] ^ expected[i]);
    }
    return difference == 0;
}

struct Body {
    std::string text{};
    std::optional<Failure> failure{};  ///< why it is not whole
};

/// Reads a whole body whatever becomes of the request, so that the connection is at its next one.
Body read_body(const httplib::Request& request,
               const httplib::ContentReader& reader,
               std::size_t most) {
    Body body;
    bool is_too_large = request.get_header_value<std::uint64_t>("Content-Length") > most;
    const bool is_whole = reader([&](const char* data, std::size_t size) {
        is_too_large = is_too_large || size > most - body.text.size();
        if (is_too_large) {
            return false;
        }
        body.text.append(data, size);
        return true;
    });
    if (!is_whole) {
        body.failure = is_too_large ? too_large(most) : cut_short();
    }
    return body;
}

/// Why the body is not read. A browser sends JSON to another site only if that site says so, so no
/// page can use this server; and packed bodies may be a thousand times larger than they look.
std::optional<Failure> find_unsupported(const httplib::Request& request) {
    if (const std::string packing = request.get_header_value("Content-Encoding");
        !packing.empty()) {
        return unsupported_media(packing);
    }
    const std::string type = request.get_header_value("Content-Type");
    return type.starts_with(json_type) ? std::nullopt : std::optional(unsupported_media(type));
}

Json list_tokens(std::span<const TokenId> tokens) {
    Json list = Json::array();
    for (const TokenId token : tokens) {
        list.push_back(std::int64_t{token});
    }
    return list;
}

/// Waits for all answers. Nothing where the client has gone.
std::optional<Json> collect_answers(const Generation& generation, const Peer& peer) {
    Answers answers(generation);
    while (!answers.are_complete()) {
        if (peer.has_gone()) {
            generation.channel->close();
            return std::nullopt;
        }
        if (std::optional<Event> event = generation.channel->pop(patience)) {
            answers.add(*std::move(event));
        }
    }
    return answers.make_reply();
}

}  // namespace

template <class Handle>
void Routes::guard(const Request& request, Response& response, const Handle& handle) const {
    if (!options_.api_key.empty() && !has_key(request, options_.api_key)) {
        set_failure(response, unauthorized());
        return;
    }
    try {
        handle();
    } catch (const Error& error) {
        set_failure(response, to_refusal(error));
    } catch (const std::exception& error) {
        set_failure(response, {.status = 500, .message = error.what()});
    }
}

template <class Handle>
void Routes::add_get(httplib::Server& server, const char* path, Handle handle) {
    server.Get(path, handle);
    methods_.emplace_back(path, "GET");
}

template <class Handle>
void Routes::add_post(httplib::Server& server, const char* path, Handle handle) {
    methods_.emplace_back(path, "POST");
    server.Post(
        path,
        [this, handle](
            const Request& request, Response& response, const httplib::ContentReader& reader) {
            std::optional<Failure> failure = find_unsupported(request);
            const std::size_t most =
                request.has_header("Content-Encoding") ? 0 : options_.body_bytes;
            const Body body = read_body(request, reader, most);
            if (body.failure) {
                // What is left of the body is no next request.
                response.set_header("Connection", "close");
                failure = failure ? failure : body.failure;
            } else if (body.text.empty() && !failure) {
                failure = without_body();
            }
            if (failure) {
                set_failure(response, *failure);
                return;
            }
            guard(request, response, [&] { handle(request, response, body.text); });
        });
}

void Routes::add_to(httplib::Server& server) {
    add_get(server, "/health", [](const Request& /*request*/, Response& response) {
        set_json(response, Json::Object{{"status", "ok"}});
    });
    add_get(server, "/v1/models", [this](const Request& request, Response& response) {
        guard(request, response, [&] { set_json(response, list_models()); });
    });
    add_get(server, "/v1/models/(.+)", [this](const Request& request, Response& response) {
        guard(request, response, [&] {
            set_json(response, describe_model(find_model(request.matches[1].str())));
        });
    });
    add_get(server, "/metrics", [this](const Request& request, Response& response) {
        guard(request, response, [&] {
            response.set_content(write_metrics(), "text/plain; version=0.0.4");
        });
    });
    add_post(server,
             "/v1/completions",
             [this](const Request& request, Response& response, const std::string& body) {
                 generate(request, response, body, parse_completion_request);
             });
    add_post(server,
             "/v1/chat/completions",
             [this](const Request& request, Response& response, const std::string& body) {
                 generate(request, response, body, parse_chat_request);
             });
    add_post(server,
             "/tokenize",
             [this](const Request& /*request*/, Response& response, const std::string& body) {
                 set_json(response, tokenize(body));
             });
    add_post(server,
             "/detokenize",
             [this](const Request& /*request*/, Response& response, const std::string& body) {
                 set_json(response, detokenize(body));
             });
    server.set_error_handler([this](const Request& request, Response& response) {
        if (response.body.empty()) {
            set_failure(
                response,
                response.status == 404
                    ? find_wrong_path(request)
                    : Failure{.status = response.status,
                              .message = format("the request is refused ({})", response.status),
                              .type = "invalid_request_error"});
        }
    });
}

bool Routes::refuse_before_body(const Request& request, Response& response) const {
    std::optional<Failure> failure = find_wrong_length(request, options_.body_bytes);
    if (!failure && waits_for_body(request)) {
        failure =
            find_method(request.path) == request.method ? without_body() : find_wrong_path(request);
    }
    if (!failure) {
        return false;
    }
    if (has_body(request)) {
        find_peer(request).discard(silence, longest_body);
        // What may be left of the body is no next request.
        response.set_header("Connection", "close");
    }
    set_failure(response, *failure);
    return true;
}

std::string Routes::find_method(const std::string& path) const {
    const auto found = std::ranges::find_if(
        methods_, [&](const auto& entry) { return std::regex_match(path, entry.first); });
    return found == methods_.end() ? std::string() : found->second;
}

Failure Routes::find_wrong_path(const Request& request) const {
    const std::string method = find_method(request.path);
    return method.empty() ? nothing_served(request.method, request.path)
                          : wrong_method(request.method, request.path, method);
}

std::size_t Routes::find_model(const std::string& name) const {
    if (name.empty() && models_.size() == 1) {
        return 0;
    }
    const auto found = std::ranges::find(models_, name, &ServedModel::name);
    if (found != models_.end()) {
        return static_cast<std::size_t>(found - models_.begin());
    }
    std::vector<std::string> names;
    for (const ServedModel& served : models_) {
        names.push_back(served.name);
    }
    if (name.empty()) {
        throw Error(
            ErrorKind::usage,
            format("several models are served, name one as 'model': {}", join(names, ", ")));
    }
    throw Error(
        ErrorKind::not_found,
        format("the model {} is not served; served: {}", in_quotes(name), join(names, ", ")));
}

Json Routes::describe_model(std::size_t index) const {
    const ServedModel& served = models_[index];
    return Json::Object{{"id", served.name},
                        {"object", "model"},
                        {"created", 0},
                        {"owned_by", "anamnesis"},
                        {"max_model_len", std::uint64_t{served.model->context_length()}}};
}

Json Routes::list_models() const {
    Json list = Json::array();
    for (std::size_t i = 0; i < models_.size(); ++i) {
        list.push_back(describe_model(i));
    }
    return Json::Object{{"object", "list"}, {"data", std::move(list)}};
}

std::string Routes::write_metrics() const {
    std::vector<NamedMetrics> models;
    for (std::size_t i = 0; i < models_.size(); ++i) {
        models.push_back({.model = models_[i].name, .metrics = &engine_.metrics(i)});
    }
    return serve::write_metrics(models);
}

template <class Parse>
auto Routes::parse(Parse parser, std::string_view body) -> decltype(parser(body)) {
    // A small body can make a large tree: one at a time is the most that hostile ones cost.
    const std::lock_guard lock(parsing_);
    return parser(body);
}

template <class Parse>
void Routes::generate(const Request& request,
                      Response& response,
                      std::string_view body,
                      Parse parser) {
    auto parsed = parse(parser, body);
    const std::size_t model = find_model(parsed.how.model);
    const auto generation =
        std::make_shared<Generation>(make_generation(models_[model], std::move(parsed)));
    for (Job& job : generation->jobs) {
        engine_.shorten(model, job);
        engine_.check(model, job);
    }
    const Engine::Admission admission = engine_.submit(model, generation->jobs);
    if (admission != Engine::Admission::taken) {
        set_failure(response, admission == Engine::Admission::busy ? busy() : stopping());
        return;
    }
    const Peer peer = find_peer(request);
    if (generation->how.streams) {
        stream_answers(generation, peer, response);
        return;
    }
    try {
        if (const std::optional<Json> reply = collect_answers(*generation, peer)) {
            set_json(response, *reply);
        }
    } catch (const Error& error) {
        set_failure(response, to_failure(error));
    }
}

Json Routes::tokenize(std::string_view body) {
    const TokenizeRequest request = parse(parse_tokenize_request, body);
    const ServedModel& served = models_[find_model(request.model)];
    const std::string text = request.text ? *request.text : render_chat(served, request.chat);
    const std::vector<TokenId> tokens =
        served.model->tokenizer().encode(text, {.adds_special = request.adds_special});
    return Json::Object{{"tokens", list_tokens(tokens)},
                        {"count", std::uint64_t{tokens.size()}},
                        {"max_model_len", std::uint64_t{served.model->context_length()}}};
}

Json Routes::detokenize(std::string_view body) {
    const DetokenizeRequest request = parse(parse_detokenize_request, body);
    const ServedModel& served = models_[find_model(request.model)];
    check_vocabulary(served, request.tokens);
    const std::string text =
        served.model->tokenizer().decode(request.tokens, language::SpecialTokens::keep);
    // llama-server calls it `content`, vLLM `prompt`.
    return Json::Object{{"content", text}, {"prompt", text}};
}

}  // namespace anamnesis::serve
