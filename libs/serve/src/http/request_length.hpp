// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>

#include <httplib.h>

#include "http/failures.hpp"

namespace anamnesis::serve {

/// Whether the library reads a body of such a request until its end is known: without a
/// Content-Length and without chunks it waits until the client closes the connection.
bool waits_for_body(const httplib::Request& request);

/// Whether the request says that a body comes with it.
bool has_body(const httplib::Request& request);

/// Why a body of the length that the request gives is not read. The library takes -5 for a very
/// large number and reads what it refuses, so that a client that waits for its reply would get
/// none.
std::optional<Failure> find_wrong_length(const httplib::Request& request, std::size_t most_bytes);

}  // namespace anamnesis::serve
