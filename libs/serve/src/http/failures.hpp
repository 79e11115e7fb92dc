// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"

namespace anamnesis::serve {

/// A refusal as OpenAI's clients read it.
struct Failure {
    int status = 500;
    std::string message;
    std::string type = "server_error";
    std::string code{};   ///< empty: null
    std::string allow{};  ///< the method that the path is asked by, where it was another

    Json to_json() const;
};

/// What an error before a request was taken means: mostly that the request is wrong.
Failure to_refusal(const Error& error);

/// What an error while it was answered means: not the client's fault.
Failure to_failure(const Error& error);

Failure unauthorized();
Failure too_large(std::size_t most_bytes);
Failure cut_short();
Failure without_body();
Failure wrong_length(const std::string& given);
Failure wrong_method(const std::string& method,
                     const std::string& path,
                     const std::string& allowed);
Failure nothing_served(const std::string& method, const std::string& path);
Failure unsupported_media(const std::string& what);
Failure busy();
Failure stopping();

}  // namespace anamnesis::serve
