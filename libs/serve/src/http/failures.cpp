// SPDX-License-Identifier: Apache-2.0
#include "http/failures.hpp"

#include <cstddef>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/language/utf8.hpp"

namespace anamnesis::serve {
namespace {

constexpr const char* wrong_request = "invalid_request_error";

}  // namespace

Json Failure::to_json() const {
    return Json::Object{{"error",
                         Json::Object{{"message", language::replace_ill_formed(message)},
                                      {"type", type},
                                      {"param", Json()},
                                      {"code", code.empty() ? Json() : Json(code)}}}};
}

Failure to_refusal(const Error& error) {
    switch (error.kind()) {
        case ErrorKind::not_found:
            return {.status = 404,
                    .message = error.message(),
                    .type = wrong_request,
                    .code = "model_not_found"};
        case ErrorKind::exhausted:
            return {.status = 400,
                    .message = error.message(),
                    .type = wrong_request,
                    .code = "context_length_exceeded"};
        case ErrorKind::usage:
        case ErrorKind::malformed:
        case ErrorKind::unsupported:
        case ErrorKind::mismatch:
            return {.status = 400, .message = error.message(), .type = wrong_request};
        case ErrorKind::io:
        case ErrorKind::cancelled:
        case ErrorKind::numerical:
        case ErrorKind::internal:
            break;
    }
    return to_failure(error);
}

Failure to_failure(const Error& error) {
    const bool may_pass =
        error.kind() == ErrorKind::cancelled || error.kind() == ErrorKind::exhausted;
    return {.status = may_pass ? 503 : 500, .message = error.message()};
}

Failure unauthorized() {
    return {.status = 401,
            .message = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'",
            .type = wrong_request,
            .code = "invalid_api_key"};
}

Failure too_large(std::size_t most_bytes) {
    return {.status = 413,
            .message = format("the body is larger than {} (--max-body)", human_bytes(most_bytes)),
            .type = wrong_request};
}

Failure cut_short() {
    return {
        .status = 400,
        .message = "the body did not arrive whole: send it with its Content-Length, or in chunks",
        .type = wrong_request};
}

Failure without_body() {
    return {.status = 400,
            .message = "the request has no body: send JSON with its Content-Length, or in chunks",
            .type = wrong_request};
}

Failure wrong_length(const std::string& given) {
    return {.status = 400,
            .message =
                format("the Content-Length is a whole number from 0, not {}", in_quotes(given, 60)),
            .type = wrong_request};
}

Failure wrong_method(const std::string& method,
                     const std::string& path,
                     const std::string& allowed) {
    return {.status = 405,
            .message = format("{} is asked by {}, not by {}", in_quotes(path), allowed, method),
            .type = wrong_request,
            .allow = allowed};
}

Failure nothing_served(const std::string& method, const std::string& path) {
    return {.status = 404,
            .message = format("nothing is served at {} {}", method, in_quotes(path)),
            .type = wrong_request};
}

Failure unsupported_media(const std::string& what) {
    return {.status = 415,
            .message = format("the body is JSON as it is, with 'Content-Type: application/json', "
                              "not {}",
                              in_quotes(what)),
            .type = wrong_request};
}

Failure busy() {
    return {.status = 429,
            .message = "too many prompts wait for this model; ask again in a moment",
            .type = "rate_limit_error",
            .code = "queue_full"};
}

Failure stopping() {
    return {.status = 503, .message = "the server is stopping"};
}

}  // namespace anamnesis::serve
