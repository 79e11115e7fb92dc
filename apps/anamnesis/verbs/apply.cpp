// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/apply.hpp"

#include <chrono>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "options.hpp"
#include "sources.hpp"
#include "terminal.hpp"
#include "verbs/repair_output.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {

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
    restore::Source target;
    target.checkpoint = checkpoint::Checkpoint::open(options.to);
    target.model.family = patch.rows.model.family;
    const restore::Execution execution = execution_of(options.common, watch);
    // The patch was made for the checkpoint before any repair in place.
    if (options.out.empty() && restore::has_undo(target.checkpoint.folder())) {
        restore::undo_in_place(target.checkpoint.folder(), execution);
        terminal.say("note: an earlier repair in place was undone first");
    }
    const restore::Plan plan = restore::plan_of_patch(patch, target, execution);
    std::vector<restore::Result> results;
    if (options.out.empty()) {
        results.push_back(restore::write_in_place(plan, execution));
    } else {
        results =
            restore::write_folders(plan,
                                   {options.out},
                                   {.links_unchanged = options.link, .is_synced = !options.no_sync},
                                   execution);
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_results(results, options.common, seconds, terminal);
    return 0;
}

}  // namespace anamnesis::app
