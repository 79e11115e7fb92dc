// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "option_declarations.hpp"
#include "options.hpp"

namespace anamnesis::app {

CLI::App* declare_verb(CLI::App& app, ProbeOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "probe", "Recall and reasoning on the synthetic tasks that 'train' makes");
    verb->add_option("--model", options.checkpoints, "Checkpoint folder; may be given again")
        ->required();
    verb->add_option("--lengths", options.lengths, "Tokens (128,256,512,1024,2048)")
        ->delimiter(',')
        ->check(CLI::Range(68U, 1U << 20U));
    verb->add_option("--samples", options.samples, "Of each task and length (100)")
        ->check(CLI::Range(1U, 1U << 24U));
    verb->add_option("--seed", options.seed, "Of the samples, the same for every model (999)");
    declare(*verb, options.reading);
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, ReproduceOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "reproduce",
        "Pretrain a small hybrid, fine-tune it on chains of thought, repair and measure it");
    verb->add_option("--seeds", options.seeds, "One run each (0,1,2)")->delimiter(',');
    verb->add_option("--out", options.out, "Folder to write; the same command resumes there")
        ->required();
    verb->add_flag("--quick",
                   options.is_quick,
                   "Seconds instead of minutes, to see the steps; its figures mean nothing");
    declare(*verb, options.common);
    return verb;
}

CLI::App* declare_verb(CLI::App& app, DemoOptions& options) {
    CLI::App* verb = app.add_subcommand(
        "demo", "The amnesia and its repair on a small pair of checkpoints, in about a minute");
    verb->add_option("--out", options.out, "Folder to write (anamnesis-demo)");
    verb->add_option("--samples", options.samples, "Of each needle and length (50)")
        ->check(CLI::Range(1U, 1U << 20U));
    declare(*verb, options.common);
    return verb;
}

}  // namespace anamnesis::app
