// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/apply.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/repair.hpp"
#include "anamnesis/restore/request.hpp"

#include "execution.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "print_repair.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

struct ApplyOptions {
    CommonOptions common{};
    std::string patch{};
    std::string to{};
    std::string out{};
    bool link = false;
    bool no_sync = false;
    bool allow_links = false;
};

void declare(CLI::App& app, ApplyOptions& options) {
    app.add_option("patch", options.patch, "The patch.")->required();
    OptionGroup required(app, "Required");
    required.option("--to", options.to, "The checkpoint that the patch was made for.")->required();
    OptionGroup output(app, "Output");
    output.option("--out",
                  options.out,
                  "Write a new folder. Without it, the checkpoint is repaired in place.");
    output.flag("--link", options.link, "With --out: share unchanged files.");
    output.flag("--no-sync", options.no_sync, "With --out: do not wait for the disk.");
    output.flag("--allow-links",
                options.allow_links,
                "Repair in place also through links and on hard-linked files.");
}

int run(const ApplyOptions& options, Terminal& terminal, const Watch& watch) {
    if (options.out.empty() && (options.link || options.no_sync)) {
        throw Error(ErrorKind::usage, "--link and --no-sync belong to --out");
    }
    const auto start = std::chrono::steady_clock::now();
    restore::Patch patch = restore::read_patch(options.patch);
    if (options.allow_links) {
        patch.request.allowed.insert(restore::Allowance::links);
    }
    // The patch says which rows of which tensors change, so the family need not be known here.
    checkpoint::RecognisedCheckpoint target;
    target.checkpoint = checkpoint::Checkpoint::open(options.to);
    target.model.family = patch.rows.model.family;
    const restore::Execution execution = make_execution(options.common, watch);
    // The patch was made for the checkpoint before any repair in place.
    if (options.out.empty() && restore::has_undo(options.to)) {
        restore::undo_in_place(options.to, execution);
        terminal.say("note: an earlier repair in place was undone first");
    }
    const restore::Plan plan = restore::plan_of_patch(patch, target, execution);
    using Kind = restore::Destination::Kind;
    const std::vector<restore::Result> results = restore::repair(
        plan,
        {.kind = options.out.empty() ? Kind::in_place : Kind::copy,
         .path = options.out,
         .output = {.links_unchanged = options.link, .is_synced = !options.no_sync}},
        execution);
    print_results(results, plan.findings, options.common, start, terminal);
    return 0;
}

}  // namespace

Action add_apply(CLI::App& app) {
    return make_action<ApplyOptions>(app, declare, run);
}

}  // namespace anamnesis::app
