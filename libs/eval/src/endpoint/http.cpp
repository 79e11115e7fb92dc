// SPDX-License-Identifier: Apache-2.0
#include "endpoint/http.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <httplib.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::eval {
namespace {

HttpReply to_reply(const httplib::Result& result) {
    if (!result) {
        const bool is_untrusted = result.error() == httplib::Error::SSLServerVerification ||
                                  result.error() == httplib::Error::SSLLoadingCerts;
        if (result.error() == httplib::Error::Connection) {
            return {.status = 0, .body = "no connection could be made"};
        }
        return {
            .status = 0,
            .body = httplib::to_string(result.error()) +
                    (is_untrusted ? "; for a certificate of your own set SSL_CERT_FILE, or give "
                                    "--insecure"
                                  : "")};
    }
    return {.status = result->status,
            .body = result->body,
            .retry_after = result->get_header_value("Retry-After"),
            .location = result->get_header_value("Location")};
}

struct Place {
    std::string origin;  ///< scheme, host and port
    std::string path;    ///< what comes before /v1
};

Place parse_place(std::string url) {
    while (!url.empty() && (url.back() == ' ' || url.back() == '\n' || url.back() == '\t')) {
        url.pop_back();
    }
    if (url.find_first_of("?#") != std::string::npos) {
        throw Error(
            ErrorKind::usage,
            format("--endpoint {} has a query or a fragment, which nothing can follow; give "
                   "http://HOST:PORT/PATH of an OpenAI-compatible server",
                   in_quotes(url.substr(0, url.find_first_of("?#")))));
    }
    // People paste the address that another tool wants.
    constexpr std::array<std::string_view, 4> known{
        "/chat/completions", "/completions", "/models", "/v1"};
    while (url.ends_with('/')) {
        url.pop_back();
    }
    for (const std::string_view ending : known) {
        if (url.ends_with(ending)) {
            url.resize(url.size() - ending.size());
        }
    }
    const std::size_t scheme = url.find("://");
    const bool is_http = url.starts_with("http://") || url.starts_with("https://");
    if (!is_http || scheme + 3 >= url.size()) {
        throw Error(ErrorKind::usage,
                    format("--endpoint {} is no URL; give http://HOST:PORT", in_quotes(url)));
    }
    const std::size_t slash = url.find('/', scheme + 3);
    if (url.substr(0, slash).find('@') != std::string::npos) {
        throw Error(ErrorKind::usage,
                    "--endpoint has a name or a password in it; a key goes into the variable of "
                    "--api-key-env");
    }
    return {.origin = url.substr(0, slash),
            .path = slash == std::string::npos ? std::string() : url.substr(slash)};
}

/// The first of these variables that is set; empty where none is.
std::string read_variable(std::initializer_list<const char*> names) {
    for (const char* name : names) {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread changes the environment.
        const char* value = std::getenv(name);
        if (value != nullptr && *value != '\0') {
            return value;
        }
    }
    return {};
}

std::string_view find_host(std::string_view origin) {
    origin.remove_prefix(origin.find("://") + 3);
    return origin.substr(0, origin.rfind(':'));
}

/// Whether NO_PROXY names the host, or a domain that it is in.
bool is_without_proxy(std::string_view host) {
    for (const std::string& entry : split(read_variable({"NO_PROXY", "no_proxy"}), ',')) {
        std::string_view name = entry;
        while (name.starts_with(' ') || name.starts_with('.')) {
            name.remove_prefix(1);
        }
        const bool is_inside = host.size() > name.size() && host.ends_with(name) &&
                               host[host.size() - name.size() - 1] == '.';
        if (!name.empty() && (name == "*" || host == name || is_inside)) {
            return true;
        }
    }
    return false;
}

/// The proxy that the environment names for an address, as HOST:PORT; empty for none.
std::string find_proxy(std::string_view origin) {
    const std::string_view host = find_host(origin);
    if (host == "localhost" || host == "127.0.0.1" || host == "[::1]" || is_without_proxy(host)) {
        return {};
    }
    std::string proxy =
        origin.starts_with("https")
            ? read_variable({"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"})
            : read_variable({"http_proxy", "ALL_PROXY", "all_proxy"});
    const std::size_t scheme = proxy.find("://");
    proxy = scheme == std::string::npos ? proxy : proxy.substr(scheme + 3);
    return proxy.substr(0, proxy.find('/'));
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
        http.enable_server_certificate_verification(!options.is_insecure);
        use_proxy(find_proxy(place.origin));
    }

    void use_proxy(const std::string& proxy) {
        const std::size_t colon = proxy.rfind(':');
        if (proxy.empty()) {
            return;
        }
        int port = 0;
        const char* end = proxy.data() + proxy.size();
        const bool has_port = colon != std::string::npos &&
                              std::from_chars(proxy.data() + colon + 1, end, port).ptr == end;
        if (!has_port || port < 1 || port > 65535) {
            throw Error(ErrorKind::usage,
                        format("the proxy {} of the environment has no port; give it as "
                               "http://HOST:PORT",
                               in_quotes(proxy)));
        }
        http.set_proxy(proxy.substr(0, colon), port);
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
