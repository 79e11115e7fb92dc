// SPDX-License-Identifier: Apache-2.0
#include "endpoint/http.hpp"

#include <memory>
#include <string>

#include <httplib.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::eval {
namespace {

HttpReply to_reply(const httplib::Result& result) {
    if (!result) {
        return {.status = 0, .body = httplib::to_string(result.error())};
    }
    return {.status = result->status,
            .body = result->body,
            .retry_after = result->get_header_value("Retry-After")};
}

struct Place {
    std::string origin;  ///< scheme, host and port
    std::string path;    ///< what comes before /v1
};

Place parse_place(std::string url) {
    while (url.ends_with('/')) {
        url.pop_back();
    }
    if (url.ends_with("/v1")) {
        url.resize(url.size() - 3);
    }
    const std::size_t scheme = url.find("://");
    const bool is_http = url.starts_with("http://") || url.starts_with("https://");
    if (!is_http || scheme + 3 >= url.size()) {
        throw Error(ErrorKind::usage,
                    format("--endpoint {} is no URL; give http://HOST:PORT", in_quotes(url)));
    }
    const std::size_t slash = url.find('/', scheme + 3);
    return {.origin = url.substr(0, slash),
            .path = slash == std::string::npos ? std::string() : url.substr(slash)};
}

}  // namespace

struct HttpConnection::Client {
    Client(const EndpointOptions& options, Place where)
        : place(std::move(where)), http(place.origin) {
        http.set_keep_alive(true);
        http.set_connection_timeout(options.connect_timeout);
        http.set_read_timeout(options.read_timeout);
        http.set_write_timeout(options.read_timeout);
        http.set_tcp_nodelay(true);
        if (!options.api_key.empty()) {
            http.set_bearer_token_auth(options.api_key);
        }
    }

    Place place;
    httplib::Client http;
};

HttpConnection::HttpConnection(const EndpointOptions& options)
    : client_(std::make_unique<Client>(options, parse_place(options.url))) {}
HttpConnection::~HttpConnection() = default;

HttpReply HttpConnection::get(const std::string& path) {
    return to_reply(client_->http.Get(client_->place.path + path));
}

HttpReply HttpConnection::post(const std::string& path, const std::string& json) {
    return to_reply(client_->http.Post(client_->place.path + path, json, "application/json"));
}

void HttpConnection::stop() {
    client_->http.stop();
}

}  // namespace anamnesis::eval
