// SPDX-License-Identifier: Apache-2.0
#include "endpoint/models.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"

#include "endpoint/http.hpp"

namespace anamnesis::eval {
namespace {

std::string list_model_ids(const Json& models) {
    std::vector<std::string> names;
    for (const Json& model : models.at("data").as_array("'data'")) {
        names.push_back(model.at("id").as_string("'id'"));
    }
    return join(names, ", ");
}

/// A server that is still loading says so with 503.
bool is_loading(const HttpReply& reply) {
    return reply.status == 429 || reply.status == 502 || reply.status == 503 || reply.status == 504;
}

/// Null for a name that is taken without being listed.
const Json* find_model(const Json& models, const EndpointOptions& options) {
    const Json::Array& list = models.at("data").as_array("'data'");
    const auto is_other = [&](const Json& model) {
        return model.at("id").as_string("'id'") != list.front().at("id").as_string("'id'");
    };
    if (options.model.empty() && std::ranges::any_of(list, is_other)) {
        throw Error(ErrorKind::usage,
                    format("several models are served at {}: {}; name one with {}",
                           options.url,
                           list_model_ids(models),
                           options.model_option));
    }
    for (const Json& model : list) {
        if (options.model.empty() || model.at("id").as_string("'id'") == options.model) {
            return &model;
        }
    }
    const bool is_folder = options.model.starts_with('/') || options.model.starts_with('.');
    if (!options.model.empty() && (list.empty() || is_folder)) {
        return nullptr;
    }
    throw Error(ErrorKind::not_found,
                options.model.empty() ? format("no model is served at {}", options.url)
                                      : format("{} is not served at {}; served: {}",
                                               in_quotes(options.model),
                                               options.url,
                                               list_model_ids(models)));
}

/// vLLM and SGLang say max_model_len, llama-server what one of its slots has.
std::optional<std::size_t> find_context_length(const Json& model) {
    const Json* length = model.find("max_model_len");
    if (length == nullptr || !length->is_number()) {
        const Json* meta = model.find("meta");
        length = meta == nullptr ? nullptr : meta->find("n_ctx");
    }
    // Some say 32768.0, and -1 where they do not know.
    const double tokens =
        length != nullptr && length->is_number() ? length->as_double("the context length") : 0.0;
    return tokens >= 1.0 && tokens < 9e15 ? std::optional(static_cast<std::size_t>(tokens))
                                          : std::nullopt;
}

HttpReply ask_for_models(const EndpointOptions& options) {
    HttpConnection connection(options);
    HttpReply reply = connection.get("/v1/models");
    for (unsigned attempt = 0; is_loading(reply) && attempt < options.retries; ++attempt) {
        pause(options.first_pause * (1U << std::min(attempt, 10U)), {});
        reply = connection.get("/v1/models");
    }
    if (reply.status == 0) {
        throw Error(ErrorKind::not_found,
                    format("no server answers at {}: {}", options.url, reply.body));
    }
    if (reply.status != 200) {
        const bool is_passing = is_loading(reply);
        if (reply.status >= 300 && reply.status < 400 && !reply.location.empty()) {
            throw Error(
                ErrorKind::unsupported,
                format("{}/v1/models answered {}: the server is at {} now; give that address",
                       options.url,
                       reply.status,
                       in_quotes(reply.location, 300)));
        }
        throw Error(is_passing ? ErrorKind::io : ErrorKind::unsupported,
                    format("{}/v1/models answered {}: {}; {}",
                           options.url,
                           reply.status,
                           in_quotes(reply.body, 200),
                           is_passing ? format("asked {} times", options.retries + 1)
                                      : "an OpenAI-compatible server is expected"));
    }
    return reply;
}

}  // namespace

void pause(std::chrono::milliseconds time, const std::stop_token& cancel) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, cancel, time, [] { return false; });
}

ServedModel find_served_model(const EndpointOptions& options) {
    const HttpReply reply = ask_for_models(options);
    return in_context([&] { return format("reading {}/v1/models", options.url); },
                      [&]() -> ServedModel {
                          const Json models = Json::parse(reply.body);
                          const Json* model = find_model(models, options);
                          if (model == nullptr) {
                              return {.name = options.model, .is_listed = false};
                          }
                          const Json* owner = model->find("owned_by");
                          return {.name = model->at("id").as_string("'id'"),
                                  .context_length = find_context_length(*model),
                                  .owner = owner != nullptr && owner->is_string()
                                               ? owner->as_string("'owned_by'")
                                               : std::string()};
                      });
}

}  // namespace anamnesis::eval
