// SPDX-License-Identifier: Apache-2.0
#include "options/asking.hpp"

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/chat_variables.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "load_model.hpp"
#include "option_group.hpp"

namespace anamnesis::app {
namespace {

constexpr std::uint32_t default_chunk = 512;

void declare_server(CLI::App& app, AskingOptions& options) {
    OptionGroup group(app, "Asking a server");
    group.option("--endpoint",
                 options.endpoint,
                 "Ask an OpenAI-compatible server (vLLM, SGLang, llama-server) at this URL.");
    group.option("--api-key-env",
                 options.api_key_variable,
                 "The environment variable that holds the server's key.");
    group
        .word("--transport",
              options.transport,
              eval::transport_words,
              "How prompts reach a server: tokens (ids of --tokenizer), text or chat.")
        ->default_str("tokens");
    group.option("--concurrency", options.concurrency, "Requests under way at once.")
        ->check(CLI::Range(1U, 4096U));
    group.option("--timeout", options.timeout, "Seconds that a server may be silent.")
        ->check(CLI::PositiveNumber);
    group.option("--retries", options.retries, "Retries of a request that failed in passing.")
        ->check(CLI::Range(0U, 100U));
    group.flag("--insecure", options.is_insecure, "Take any certificate of an https server.");
    group.flag("--plain-openai",
               options.plain_openai,
               "Send OpenAI's own fields only. Without it, neutral values keep a server's defaults "
               "out.");
}

eval::PromptForm make_form(const AskingOptions& options, const std::string& folder) {
    eval::PromptForm form{.enable_thinking = options.thinking,
                          .variables = language::parse_chat_variables(options.chat_variables)};
    const bool is_rendered_here =
        options.endpoint.empty() || options.transport != eval::PromptTransport::chat;
    if (options.chat && is_rendered_here) {
        form.chat = language::ChatTemplate::open(folder);
    }
    return form;
}

eval::EndpointOptions make_endpoint(const eval::AskedModel& model,
                                    const AskingOptions& options,
                                    eval::PromptForm form) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread changes the environment.
    const char* key = std::getenv(options.api_key_variable.c_str());
    return {.url = options.endpoint,
            .model = model.place,
            .api_key = key == nullptr ? std::string() : std::string(key),
            .transport = options.transport,
            .form = std::move(form),
            .concurrency = options.concurrency,
            .read_timeout = std::chrono::seconds(options.timeout),
            .retries = options.retries,
            .sends_extensions = !options.plain_openai,
            .is_insecure = options.is_insecure};
}

eval::Engine open_engine(const eval::AskedModel& model,
                         const AskingOptions& options,
                         const CommonOptions& common,
                         const language::Tokenizer& tokenizer) {
    eval::PromptForm form =
        make_form(options, options.how.tokenizer.empty() ? model.place : options.how.tokenizer);
    if (!options.needs_model()) {
        return eval::make_endpoint_engine(make_endpoint(model, options, std::move(form)),
                                          &tokenizer);
    }
    ModelOptions how = options.how;
    how.chunk = how.chunk == 0 ? default_chunk : how.chunk;
    return eval::make_embedded_engine(load_model(model.place, how, options.reading, common),
                                      {.form = std::move(form),
                                       .prefill_chunk = how.chunk,
                                       .shares_prefixes = !options.no_sharing},
                                      model.place);
}

std::vector<eval::AskedModel> list_models(const AskingOptions& options) {
    auto models = eval::parse_asked_models(
        options.models, options.needs_model() ? eval::PlaceKind::folder : eval::PlaceKind::served);
    if (models.empty() && options.needs_model()) {
        throw Error(ErrorKind::usage, "there is no --model, and no --endpoint either");
    }
    if (models.empty()) {
        models.push_back({.name = "served", .place = ""});
    }
    return models;
}

}  // namespace

void declare_asking(CLI::App& app, AskingOptions& options) {
    OptionGroup required(app, "Required");
    required
        .option("--out", options.out, "The folder of the results; an unfinished run goes on there.")
        ->required();
    required.option("--model",
                    options.models,
                    "A checkpoint folder, or NAME=FOLDER; again for each checkpoint. With "
                    "--endpoint: the name it is served under, or NAME=SERVED.");
    OptionGroup answers(app, "Answers");
    answers.flag("--chat", options.chat, "Put prompts into the model's own chat template.");
    answers.option(
        "--thinking", options.thinking, "The thinking switch of the chat template, 0 or 1.");
    answers.option("--chat-var", options.chat_variables, language::chat_variable_help);
    answers.option("--max-tokens", options.max_tokens, "The longest answer in tokens.")
        ->default_str("");
    answers.flag("--check-engine",
                 options.check_engine,
                 "First see whether the engine can be trusted: ask the same prompts twice, alone "
                 "and together, short and long.");
    answers.option(
        "--shard",
        options.shard,
        "i/n: this process takes every n-th sample. Without it, the rank under mpirun or "
        "srun.");
    declare_model(app, options.how);
    OptionGroup running(app, "Running the model");
    running.option("--chunk", options.how.chunk, "Tokens of a prompt that are read at once.")
        ->check(CLI::Range(1U, 1U << 20U))
        ->default_str("512");
    running.flag("--no-sharing",
                 options.no_sharing,
                 "Read every prompt alone, also what it has in common with others.");
    declare_server(app, options);
    declare_reading(app, options.reading);
}

Json describe_chat(const AskingOptions& options) {
    Json variables = language::parse_chat_variables(options.chat_variables);
    if (options.thinking) {
        variables.set("enable_thinking", *options.thinking);
    }
    return options.chat && !variables.is_null() ? variables : Json(options.chat);
}

language::Tokenizer open_tokenizer(const AskingOptions& options) {
    const auto models = list_models(options);
    if (!options.how.tokenizer.empty()) {
        return language::Tokenizer::open(options.how.tokenizer);
    }
    if (!options.needs_model()) {
        throw Error(ErrorKind::usage,
                    "prompts are fitted in tokens; give --tokenizer with --endpoint");
    }
    return language::Tokenizer::open(models.front().place);
}

eval::AskingJob make_asking_job(const AskingOptions& options,
                                const CommonOptions& common,
                                const language::Tokenizer& tokenizer) {
    std::function<void(const eval::AskedModel&)> check;
    if (!options.needs_model()) {
        check = [&options, &common, &tokenizer](const eval::AskedModel& model) {
            static_cast<void>(open_engine(model, options, common, tokenizer));
        };
    }
    return {.models = list_models(options),
            .open =
                [&options, &common, &tokenizer](const eval::AskedModel& model) {
                    return open_engine(model, options, common, tokenizer);
                },
            .check = std::move(check),
            .tokenizer = &tokenizer,
            .compares_tokenizers = options.needs_model() && options.how.tokenizer.empty(),
            .out = options.out,
            .shard = options.shard.empty() ? eval::Shard::from_environment().value_or(eval::Shard{})
                                           : eval::Shard::parse(options.shard),
            .checks_engines = options.check_engine};
}

}  // namespace anamnesis::app
