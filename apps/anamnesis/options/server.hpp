// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/transport_trial.hpp"

namespace anamnesis::app {

/// How a server is asked.
struct ServerOptions {
    std::string endpoint{};
    std::string api_key_variable = "OPENAI_API_KEY";
    eval::TransportChoice transport = eval::TransportChoice::automatic;
    std::uint32_t concurrency = 4;
    std::uint32_t timeout = 1800;  ///< seconds
    std::uint32_t retries = 5;
    bool plain_openai = false;
    bool is_insecure = false;
};

void declare_server(CLI::App& app, ServerOptions& options);

/// The server's model of a name, with the key of the environment.
eval::EndpointOptions make_endpoint(const ServerOptions& options, const std::string& model);

}  // namespace anamnesis::app
