// SPDX-License-Identifier: Apache-2.0
#include "options/server.hpp"

#include <chrono>
#include <cstdlib>
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/transport_trial.hpp"

#include "option_group.hpp"

namespace anamnesis::app {

void declare_server(CLI::App& app, ServerOptions& options) {
    constexpr const char* heading = "Asking a server";
    OptionGroup group(app, heading);
    auto* endpoint =
        group.option("--endpoint",
                     options.endpoint,
                     "Ask an OpenAI-compatible server (vLLM, SGLang, llama-server) at this URL.");
    group.option("--api-key-env",
                 options.api_key_variable,
                 "The environment variable that holds the server's key.");
    group
        .word("--transport",
              options.transport,
              eval::transport_choice_words,
              "How prompts reach a server: tokens (ids of --tokenizer), text or chat; auto asks a "
              "trial question to find out.")
        ->default_str("auto");
    group.option("--concurrency", options.concurrency, "Requests under way at once.")
        ->check(CLI::Range(1U, 4096U));
    group.option("--timeout", options.timeout, "Seconds that a server may be silent.")
        ->check(CLI::Range(1U, 1U << 20U));
    group.option("--retries", options.retries, "Retries of a request that failed in passing.")
        ->check(CLI::Range(0U, 100U));
    group.flag("--insecure", options.is_insecure, "Take any certificate of an https server.");
    group.flag("--plain-openai",
               options.plain_openai,
               "Send OpenAI's own fields only. Without it, neutral values keep a server's defaults "
               "out.");
    for (CLI::Option* option : list_options(app, heading)) {
        if (option != endpoint) {
            option->needs(endpoint);
        }
    }
}

eval::EndpointOptions make_endpoint(const ServerOptions& options, const std::string& model) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread changes the environment.
    const char* key = std::getenv(options.api_key_variable.c_str());
    return {.url = options.endpoint,
            .model = model,
            .api_key = key == nullptr ? std::string() : std::string(key),
            .concurrency = options.concurrency,
            .read_timeout = std::chrono::seconds(options.timeout),
            .retries = options.retries,
            .sends_extensions = !options.plain_openai,
            .is_insecure = options.is_insecure};
}

}  // namespace anamnesis::app
