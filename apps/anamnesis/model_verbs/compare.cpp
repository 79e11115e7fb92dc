// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/compare_job.hpp"
#include "anamnesis/language/chat_template.hpp"
#include "anamnesis/language/tokenizer.hpp"

#include "model_verbs/open_model.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/haystack.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"
#include "options/server.hpp"
#include "print_findings.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

/// A server and this process, token by token.
struct CompareOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    std::string checkpoint{};
    ModelOptions model{};
    ServerOptions server{};
    std::string served{};
    bool chat = false;
    std::uint32_t max_tokens = 64;
    std::vector<std::string> prompts{};
    eval::HaystackPlan haystack{.tasks = {"s1"}, .lengths = {1024}, .samples = 4};
};

void declare(CLI::App& app, CompareOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--model", options.checkpoint, "The checkpoint (folder or GGUF).")->required();
    OptionGroup answers(app, "Answers");
    answers.option("--served", options.served, "The name that the server knows it by.");
    answers.flag("--chat", options.chat, "Put prompts into the model's own chat template.");
    answers.prose("--prompt", options.prompts, "A prompt of your own; may be given again.");
    answers.option("--max-tokens", options.max_tokens, "The tokens of each answer.")
        ->check(CLI::Range(1U, 1U << 24U));
    declare_haystack(app, options.haystack);
    for (CLI::Option* option : list_options(app, "Needles in haystacks")) {
        option->excludes(app.get_option("--prompt"));
    }
    declare_server(app, options.server);
    app.get_option("--endpoint")->required();
    declare_adapter(app, options.model);
    declare_model(app, options.model);
    declare_reading(app, options.reading);
}

int run(const CompareOptions& options, Terminal& terminal, const Watch& watch) {
    const std::string& folder =
        options.model.tokenizer.empty() ? options.checkpoint : options.model.tokenizer;
    const auto tokenizer = language::Tokenizer::open(folder);
    eval::CompareJob job{.endpoint = make_endpoint(options.server, options.served),
                         .transport = options.server.transport,
                         .prompts = options.prompts,
                         .haystack = options.haystack,
                         .max_new_tokens = options.max_tokens};
    if (options.chat) {
        job.endpoint.form.chat = language::ChatTemplate::open(folder, "leave out --chat");
    }
    const OpenedModel opened =
        open_model(eval::name_model(options.checkpoint, options.model.adapters),
                   options.model,
                   options.reading,
                   options.common);
    const auto comparison = eval::run_compare(job, *opened.model, tokenizer, watch);
    terminal.result(options.common.json
                        ? add_findings(eval::to_json(comparison), opened.findings).dump(2) + "\n"
                        : eval::to_text(comparison));
    return comparison.count(eval::Agreement::different) == 0 ? 0 : 1;
}

}  // namespace

Action add_compare(CLI::App& app) {
    return make_action<CompareOptions>(app, declare, run);
}

}  // namespace anamnesis::app
