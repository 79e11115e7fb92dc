// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/serve/server.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct ServeVerbOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::vector<std::string> models{};
    ModelOptions model{};
    serve::ServeOptions server{.port = 8080};
    std::uint32_t max_body = 4;  ///< MiB
    double state_memory = 0.0;   ///< GiB
    std::uint32_t drain_seconds = 10;
};

void declare(CLI::App& app, ServeVerbOptions& options) {
    OptionGroup(app, "Required")
        .option("--model",
                options.models,
                "A checkpoint, as PATH or NAME=PATH; may be given again. Without a name it is "
                "served under the last part of its path.")
        ->required();
    OptionGroup listening(app, "Listening");
    listening.option("--host", options.server.host, "The address to listen at.");
    listening.option("--port", options.server.port, "The port; 0 takes a free one and prints it.");
    listening.option("--api-key", options.server.api_key, "The key that requests must send.")
        ->envname("ANAMNESIS_API_KEY");
    listening.option("--max-body", options.max_body, "The largest body of a request, in MiB.")
        ->check(CLI::Range(1U, 1024U));
    listening.option("--drain", options.drain_seconds, "Seconds for running answers after a stop.");
    OptionGroup load(app, "Load");
    load.option("--max-sequences", options.server.sequences, "Answers that a model makes at once.")
        ->check(CLI::Range(1U, 4096U));
    load.option("--max-waiting", options.server.waiting, "Prompts that may wait; more get 429.")
        ->check(CLI::Range(1U, 65536U));
    load.option("--state-memory",
                options.state_memory,
                "GiB for caches, states and kept prefixes of all models; 0 is a quarter of the "
                "machine's memory.")
        ->check(CLI::Range(0.0, 1e6));
    load.option("--chunk",
                options.server.block,
                "Tokens of a prompt that are read at once; prefixes are kept in blocks of so many.")
        ->check(CLI::Range(1U, 1U << 20U));
    load.option("--prompt-tokens",
                options.server.prompt_tokens,
                "Tokens of prompts read between two tokens of the answers, in whole chunks.")
        ->check(CLI::Range(1U, 1U << 20U));
    declare_adapter(app, options.model);
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

serve::ServedModel load_served(const eval::AskedModel& model, const ServeVerbOptions& options) {
    serve::ServedModel served{
        .name = model.name,
        .model = open_model(model, options.model, options.reading, options.common).model};
    try {
        served.chat = language::ChatTemplate::open(
            options.model.tokenizer.empty() ? model.place : options.model.tokenizer);
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) {
            throw;
        }
    }
    return served;
}

int run(const ServeVerbOptions& options, Terminal& terminal, const Watch& watch) {
    std::vector<serve::ServedModel> models;
    std::vector<std::string> names;
    for (const eval::AskedModel& model : eval::parse_asked_models(
             options.models, eval::PlaceKind::folder, options.model.adapters)) {
        models.push_back(load_served(model, options));
        names.push_back(model.name);
    }
    serve::ServeOptions server = options.server;
    server.body_bytes = std::size_t{options.max_body} << 20U;
    server.state_bytes = static_cast<std::uint64_t>(options.state_memory * (1U << 30U));
    server.drain = std::chrono::seconds(options.drain_seconds);
    const auto tell = [&](std::string_view url) {
        if (options.common.json) {
            Json list = Json::array();
            for (const std::string& name : names) {
                list.push_back(name);
            }
            terminal.result(Json(Json::Object{{"url", url}, {"models", std::move(list)}}).dump() +
                            "\n");
        } else {
            terminal.result(format("serving {} at {}\n", join(names, ", "), url));
        }
        static_cast<void>(std::fflush(stdout));
    };
    serve::serve(std::move(models), server, tell, watch);
    return 0;
}

}  // namespace

Action add_serve(CLI::App& app) {
    return make_action<ServeVerbOptions>(app, declare, run);
}

}  // namespace anamnesis::app
