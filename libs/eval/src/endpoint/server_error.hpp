// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "anamnesis/base/json.hpp"

namespace anamnesis::eval {

/// Whether a question is worth asking again after this HTTP status.
bool is_passing(std::int64_t status);

/// The server's own words: `error.message`, `message`, or the body.
std::string find_error_message(const std::string& body);

/// An error in a reply that says 200: gateways pass on those of their server so.
struct ServerError {
    std::string message{};
    int status = 400;  ///< what it would have been told with; 400 where it seems final
};

/// Finds it under `error`, at the top of what says `"object": "error"`, or in the first choice.
/// Gateways write it into good answers too, where it says nothing: null, false, "" or {}.
std::optional<ServerError> find_server_error(const Json& reply);

}  // namespace anamnesis::eval
