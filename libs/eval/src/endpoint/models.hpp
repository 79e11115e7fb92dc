// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>

#include "anamnesis/base/json.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"

#include "endpoint/http.hpp"

namespace anamnesis::eval {

/// Waits, or returns early after `cancel`.
void pause(std::chrono::milliseconds time, const std::stop_token& cancel);

/// What a server says of /v1/models; one that is still loading is asked again.
/// Errors: `not_found` where nobody listens; `io` for a server that is not ready; `unsupported`.
HttpReply ask_for_models(const EndpointOptions& options);

/// The model of a name; without a name the only one.
/// Errors: `usage` where there are several and none is named; `not_found`.
const Json& find_model(const Json& models, const EndpointOptions& options);

/// vLLM and SGLang say max_model_len, llama-server what one of its slots has.
std::optional<std::size_t> find_context_length(const Json& model);

}  // namespace anamnesis::eval
