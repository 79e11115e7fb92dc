// SPDX-License-Identifier: Apache-2.0
#include <string>

#include <CLI/CLI.hpp>

#include "anamnesis/base/watch.hpp"
#include "anamnesis/eval/niah_job.hpp"
#include "anamnesis/eval/ruler/haystack_plan.hpp"

#include "live_table.hpp"
#include "option_group.hpp"
#include "options/asking.hpp"
#include "options/common.hpp"
#include "options/haystack.hpp"
#include "print_report.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct NiahOptions {
    CommonOptions common{};
    AskingOptions asking{};
    eval::HaystackPlan haystack{};
    std::string prompts{};
    bool gives_prefix = true;
    bool asks_logprob = true;
};

void declare(CLI::App& app, NiahOptions& options) {
    declare_asking(app, options.asking);
    declare_haystack(app, options.haystack);
    app.get_option("--tasks")->description(app.get_option("--tasks")->get_description() +
                                           " Default: s1,s2,s3.");
    OptionGroup group(app, "Needles in haystacks");
    group.option("--prompts",
                 options.prompts,
                 "Prompts that RULER wrote (JSON lines), instead of those made here.");
    group.negation("--no-prefix",
                   options.gives_prefix,
                   "Do not begin the answer for the model (for reasoning models).");
    group.negation(
        "--no-logprobs", options.asks_logprob, "Leave out the log-probability of the true answer.");
}

int run(const NiahOptions& options, Terminal& terminal, const Watch& watch) {
    const eval::HaystackPlan plan =
        eval::complete_haystack_plan(options.haystack, !options.prompts.empty());
    const auto tokenizer = open_tokenizer(options.asking);
    LiveTable table(terminal.is_quiet());
    print_report(eval::run_niah(
                     {.asking = make_asking_job(options.asking, options.common, tokenizer),
                      .haystack = plan,
                      .prompts = options.prompts,
                      .max_new_tokens = options.asking.max_tokens.value_or(plan.tokens_to_generate),
                      .gives_prefix = options.gives_prefix,
                      .asks_logprob = options.asks_logprob,
                      .chat = describe_chat(options.asking)},
                     table,
                     watch),
                 options.common,
                 terminal);
    return 0;
}

}  // namespace

Action add_niah(CLI::App& app) {
    return make_action<NiahOptions>(app, declare, run);
}

}  // namespace anamnesis::app
