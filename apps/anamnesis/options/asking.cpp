// SPDX-License-Identifier: Apache-2.0
#include "options/asking.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/eval/asking_job.hpp"
#include "anamnesis/eval/embedded_back_end.hpp"
#include "anamnesis/eval/endpoint_back_end.hpp"
#include "anamnesis/eval/engine.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/eval/transport_trial.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/chat_variables.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "load_model.hpp"
#include "option_group.hpp"
#include "options/server.hpp"

namespace anamnesis::app {
namespace {

constexpr std::uint32_t default_chunk = 512;

eval::PromptForm make_form(const AskingOptions& options, const std::string& folder) {
    eval::PromptForm form{.enable_thinking = options.thinking,
                          .variables = language::parse_chat_variables(options.chat_variables)};
    const bool is_rendered_here =
        options.needs_model() || options.server.transport != eval::TransportChoice::chat;
    if (options.chat && is_rendered_here) {
        form.chat = language::ChatTemplate::open(folder, options.without_template);
    }
    return form;
}

eval::Engine open_engine(const eval::AskedModel& model,
                         const AskingOptions& options,
                         const CommonOptions& common,
                         const language::Tokenizer& tokenizer,
                         const eval::EngineOpening& opening) {
    eval::PromptForm form =
        make_form(options, options.how.tokenizer.empty() ? model.place : options.how.tokenizer);
    if (!options.needs_model()) {
        eval::EndpointOptions endpoint = make_endpoint(options.server, model.place);
        endpoint.form = std::move(form);
        return eval::open_server(
            std::move(endpoint), options.server.transport, &tokenizer, opening);
    }
    ModelOptions how = options.how;
    how.chunk = how.chunk == 0 ? default_chunk : how.chunk;
    LoadedModel loaded = load_model(model, how, options.reading, common);
    return eval::make_embedded_engine(std::move(loaded.model),
                                      {.form = std::move(form),
                                       .prefill_chunk = how.chunk,
                                       .shares_prefixes = !options.no_sharing},
                                      model,
                                      checkpoint::to_json(loaded.findings));
}

std::vector<eval::AskedModel> list_models(const AskingOptions& options) {
    return eval::parse_asked_models(
        options.models,
        options.needs_model() ? eval::PlaceKind::folder : eval::PlaceKind::served,
        options.how.adapters);
}

}  // namespace

void declare_asking(CLI::App& app, AskingOptions& options) {
    OptionGroup required(app, "Required");
    required
        .option("--out", options.out, "The folder of the results; an unfinished run goes on there.")
        ->required();
    required.option("--model",
                    options.models,
                    "A checkpoint (folder or GGUF), or NAME=PATH; again for each. With "
                    "--endpoint: the name it is served under, or NAME=SERVED.");
    OptionGroup answers(app, "Answers");
    answers.flag("--chat", options.chat, "Put prompts into the model's own chat template.");
    answers.option(
        "--thinking", options.thinking, "The thinking switch of the chat template, 0 or 1.");
    answers.option("--chat-var", options.chat_variables, language::chat_variable_help);
    answers.option("--max-tokens", options.max_tokens, "The longest answer in tokens.")
        ->check(find_text_of_zero);
    answers.flag(
        "--check-engine",
        options.check_engine,
        "First see whether the engine can be trusted: ask the same prompts twice, alone "
        "and together, with a cold and a warm cache, whole and in pieces, short and long.");
    answers.flag("--twice",
                 options.twice,
                 "Ask every question a second time and tell how many answers differ, and where.");
    answers.option(
        "--shard",
        options.shard,
        "i/n: this process takes every n-th sample. Without it, the rank under mpirun or "
        "srun.");
    declare_adapter(app, options.how);
    declare_model(app, options.how);
    OptionGroup running(app, "Running the model");
    running.option("--chunk", options.how.chunk, "Tokens of a prompt that are read at once.")
        ->check(CLI::Range(1U, 1U << 20U))
        ->default_str("512");
    running.flag("--no-sharing",
                 options.no_sharing,
                 "Read every prompt alone, also what it has in common with others.");
    declare_server(app, options.server);
    declare_reading(app, options.reading);
    for (const char* group : {"Running the model", "Reading checkpoints"}) {
        for (CLI::Option* option : list_options(app, group)) {
            // A server is asked in tokens too, and --adapter is refused with what to do instead.
            if (option->get_name() != "--tokenizer" && option->get_name() != "--adapter") {
                option->excludes(app.get_option("--endpoint"));
            }
        }
    }
}

Json describe_chat(const AskingOptions& options) {
    Json variables = language::parse_chat_variables(options.chat_variables);
    if (options.thinking) {
        variables.set("enable_thinking", *options.thinking);
    }
    const bool has_template =
        options.chat || options.server.transport == eval::TransportChoice::chat;
    if (!has_template && !variables.is_null()) {
        throw Error(ErrorKind::usage, "--thinking and --chat-var belong to --chat");
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
                    "prompts are counted in tokens; give --tokenizer with --endpoint");
    }
    return language::Tokenizer::open(models.front().place);
}

eval::AskingJob make_asking_job(const AskingOptions& options,
                                const CommonOptions& common,
                                const language::Tokenizer& tokenizer) {
    return {.models = list_models(options),
            .open =
                [&options, &common, &tokenizer](const eval::AskedModel& model,
                                                const eval::EngineOpening& opening) {
                    return open_engine(model, options, common, tokenizer, opening);
                },
            .are_served = !options.needs_model(),
            .tokenizer = &tokenizer,
            .compares_tokenizers = options.needs_model() && options.how.tokenizer.empty(),
            .running =
                to_json(eval::OtherRunning{.dtype = options.how.dtype,
                                           .cache_dtype = options.how.cache_dtype,
                                           .attn_logits_scaling = options.how.attn_logits_scaling,
                                           .family = options.reading.family,
                                           .config = options.reading.config,
                                           .context_length = options.how.context_length}),
            .out = options.out,
            .shard = options.shard.empty() ? Shard::from_environment().value_or(Shard{})
                                           : Shard::parse(options.shard),
            .asks_twice = options.twice,
            .checks_engines = options.check_engine};
}

}  // namespace anamnesis::app
