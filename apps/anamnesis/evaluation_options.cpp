// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {
namespace {

void declare(CLI::App& app, HaystackOptions& options) {
    app.add_option("--samples", options.samples, "Samples of each task and length (default 500)")
        ->check(CLI::PositiveNumber);
    app.add_option("--seed", options.seed, "Seed of the samples (default 42, RULER's)");
    app.add_option("--essays",
                   options.essays,
                   "Text of the essay haystacks: JSON {\"text\": …} as RULER's, or plain text "
                   "(default: the King James Version, which makes results RULER-style)");
    app.add_option("--template",
                   options.wrapper,
                   "Text around the prompt: a name of RULER's (base, lwm-chat, meta-llama3…) or "
                   "one with {task_template} in it");
    app.add_flag("--sane-wording",
                 options.sane_wording,
                 "Leave the template alone where RULER's singular wording would rewrite it too");
    app.add_flag("--remove-newline-tab",
                 options.remove_newline_tab,
                 "Collapse all white space of the prompt, as RULER's option does");
    app.add_option("--tokens-to-generate",
                   options.tokens_to_generate,
                   "Tokens of the length kept free for the answer (default 128)")
        ->check(CLI::PositiveNumber);
    app.add_option("--depths",
                   options.depths,
                   "Sweep N depths from 0 to 100 % evenly, --samples at each, instead of RULER's "
                   "random depths")
        ->check(CLI::Range(2U, 1001U));
}

}  // namespace

CLI::App* declare_verb(CLI::App& app, PromptsOptions& options) {
    CLI::App* verb =
        app.add_subcommand("prompts", "Write RULER's needle-in-a-haystack prompts as JSON lines");
    verb->add_option(
            "--task,--tasks",
            options.haystack.tasks,
            "niah_single_1 (s1), niah_single_2 (s2), niah_single_3 (s3), niah_multikey_1…3, "
            "niah_multivalue, niah_multiquery")
        ->delimiter(',')
        ->required();
    verb->add_option("--length,--lengths",
                     options.haystack.lengths,
                     "Context in tokens, answer included: 4096, 4k, 4k..256k")
        ->delimiter(',')
        ->required();
    verb->add_option("--tokenizer", options.tokenizer, "Folder of the tokenizer")->required();
    verb->add_option("--out", options.out, "File to write")->required();
    declare(*verb, options.haystack);
    verb->add_flag("--prepare-for-ns",
                   options.prepare_for_ns,
                   "RULER's --prepare_for_ns: count the template, but leave it out");
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
