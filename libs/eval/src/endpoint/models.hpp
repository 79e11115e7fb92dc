// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <string>

#include "anamnesis/eval/endpoint_back_end.hpp"

namespace anamnesis::eval {

/// Waits, or returns early after `cancel`.
void pause(std::chrono::milliseconds time, const std::stop_token& cancel);

/// What /v1/models says of a model.
struct ServedModel {
    std::string name;
    std::optional<std::size_t> context_length{};
    std::string owner{};
    bool is_listed = true;
};

/// The model of a name; without a name the only one. A server that is still loading is asked again.
/// A folder's path is taken as it is where it is not listed: transformers serve lists what is in
/// its cache alone, and loads any folder.
/// Errors: `usage` where there are several and none is named; `not_found`, also where nobody
///         listens; `io` for a server that is not ready; `unsupported` for one of another kind.
ServedModel find_served_model(const EndpointOptions& options);

}  // namespace anamnesis::eval
