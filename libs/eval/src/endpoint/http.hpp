// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "anamnesis/eval/endpoint_back_end.hpp"

namespace anamnesis::eval {

struct HttpReply {
    int status = 0;      ///< 0: no reply
    std::string body{};  ///< or what broke
    std::string retry_after{};
    std::string location{};  ///< of a redirection
};

/// One connection to a server, kept alive.
///
/// Threads: one at a time.
class HttpConnection {
public:
    /// Errors: `usage` for a URL that is none.
    explicit HttpConnection(const EndpointOptions& options);
    ~HttpConnection();
    HttpConnection(const HttpConnection&) = delete;
    HttpConnection& operator=(const HttpConnection&) = delete;

    HttpReply get(const std::string& path);
    HttpReply post(const std::string& path, const std::string& json);
    /// Ends a request under way, from another thread.
    void stop();

private:
    struct Client;
    std::unique_ptr<Client> client_;
};

}  // namespace anamnesis::eval
