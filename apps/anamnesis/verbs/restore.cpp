// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/adapter.hpp"
#include "anamnesis/restore/adapter_repair.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/fit_report.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/moment_folder.hpp"
#include "anamnesis/restore/open_pair.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/repair.hpp"
#include "anamnesis/restore/request.hpp"
#include "anamnesis/restore/result_text.hpp"
#include "anamnesis/restore/shards.hpp"

#include "calibrate_plan.hpp"
#include "execution.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/fit.hpp"
#include "options/reading.hpp"
#include "options/selection.hpp"
#include "print_findings.hpp"
#include "print_repair.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

using Clock = std::chrono::steady_clock;

struct RestoreOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    SelectionOptions selection{};
    FitOptions fit{};
    std::string pre{};
    std::string post{};
    std::string adapter{};
    std::string out{};
    std::string patch{};
    bool is_in_place = false;
    bool is_dry_run = false;
    bool is_as_peft = false;
    bool is_tidy = false;
    restore::OutputOptions output{};
    std::string shard{};
    std::string note{};

    bool merges() const { return !adapter.empty(); }
    restore::MergeRounding rounding() const {
        return is_as_peft ? restore::MergeRounding::peft : restore::MergeRounding::once;
    }
    bool writes_folder() const { return !is_in_place && patch.empty(); }
    restore::Destination destination() const {
        using Kind = restore::Destination::Kind;
        return {.kind = is_in_place      ? Kind::in_place
                        : !patch.empty() ? Kind::patch
                                         : Kind::copy,
                .path = patch.empty() ? out : patch,
                .output = output};
    }
    /// Whether post is to run over texts.
    bool needs_model() const { return fit.calibrates() && !is_dry_run; }
};

void declare(CLI::App& app, RestoreOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    auto* post = required.option(
        "--post", options.post, "The checkpoint after it, or the LoRA adapter that is left of it.");
    required
        .option("--adapter",
                options.adapter,
                "Instead of --post: a LoRA adapter of --pre, to be merged into it and repaired.")
        ->excludes(post);
    OptionGroup destination(app, "Where the repair goes (one of them)");
    auto* out = destination.option(
        "--out", options.out, "A new folder, or a .safetensors or .gguf file where post is one.");
    auto* in_place =
        destination.flag("--in-place",
                         options.is_in_place,
                         "Rewrite the changed rows of post itself; 'undo' brings them back.");
    auto* patch = destination.option(
        "--patch", options.patch, "A small file with the new rows, for 'apply' elsewhere.");
    out->excludes(in_place)->excludes(patch);
    in_place->excludes(patch);
    destination.flag("--dry-run", options.is_dry_run, "Print the plan and write nothing.");
    options.selection.declare(app);
    options.fit.declare(app);
    OptionGroup output(app, "How a folder is written");
    output.flag("--link",
                options.output.links_unchanged,
                "Share unchanged files with post (reflink or hard link).");
    output.flag("--model-card", options.output.has_model_card, "Append a section to README.md.");
    output.flag(
        "--clean-names",
        options.output.has_clean_names,
        "Leave out of tensor names what training code put there ('_orig_mod.' and the like).");
    output.flag("--fix-config",
                options.output.has_fixed_config,
                "Leave a quantization_config that does not fit the weights out of config.json.");
    output.flag("--stamp",
                options.output.has_stamp,
                "Add a key to the metadata of a GGUF file that says how it was repaired.");
    output.negation("--no-sync",
                    options.output.is_synced,
                    "Do not wait for the disk. A power cut may then cost the output.");
    output.option(
        "--shard",
        options.shard,
        "I/N: write every N-th file, one of N processes that share --out's disk; the last "
        "to end puts the folder together.");
    OptionGroup adapters(app, "LoRA adapters (docs/lora.md)");
    adapters.flag("--as-peft",
                  options.is_as_peft,
                  "With --adapter: round as PEFT's merge_and_unload does, in float32.");
    adapters.flag("--tidy",
                  options.is_tidy,
                  "With an adapter as --post: name the modules that left in exclude_modules.");
    OptionGroup(app, "The receipt")
        .prose("--note", options.note, "A text for the receipt: why the repair, or by whom.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

/// Errors: `usage`.
restore::Request check(const RestoreOptions& options) {
    if (options.post.empty() && !options.merges()) {
        throw Error(ErrorKind::usage,
                    "restore needs --post CHECKPOINT, or --adapter ADAPTER of the base --pre");
    }
    if (options.is_as_peft && !options.merges()) {
        throw Error(ErrorKind::usage, "--as-peft belongs to --adapter");
    }
    if (options.merges() && !options.writes_folder()) {
        throw Error(ErrorKind::usage,
                    "--adapter makes a new checkpoint: give --out, not --in-place or --patch");
    }
    if (options.writes_folder() && options.out.empty() && !options.is_dry_run) {
        throw Error(ErrorKind::usage,
                    "restore needs one of --out FOLDER, --in-place, --patch FILE or --dry-run");
    }
    restore::Request request = options.selection.make_request();
    request.note = options.note;
    request.fit = options.fit.make_settings(request.selection);
    check_destination(request, options.destination());
    if (!options.writes_folder() && !options.shard.empty()) {
        throw Error(ErrorKind::usage, "--shard belongs to --out");
    }
    return request;
}

/// Sums post over the texts, or reads what an earlier calibration kept.
void provide_moments(restore::Plan& plan,
                     const RestoreOptions& options,
                     const Terminal& terminal,
                     const Watch& watch) {
    const bool keeps_moments = options.fit.calibrates() && !options.fit.moments.empty();
    if (keeps_moments) {
        restore::refuse_used_moment_folder(plan, options.fit.moments);
    }
    if (options.fit.calibrates()) {
        calibrate_plan(plan, options.fit, options.common, watch);
    } else {
        restore::read_moment_folder(plan, options.fit.moments);
    }
    if (keeps_moments) {
        restore::write_moment_folder(plan, options.fit.moments);
    }
    report_findings(restore::report_fit(plan, make_execution(options.common, watch)),
                    options.reading,
                    terminal);
}

/// Carries out a plan of checkpoints, of two or of one with an adapter.
int carry_out(restore::Plan plan,
              const RestoreOptions& options,
              Terminal& terminal,
              const Watch& watch,
              Clock::time_point start) {
    const auto shard = restore::find_shard(options.shard, plan);
    report_findings(plan.findings, options.reading, terminal);
    terminal.say(describe_plan(plan));
    if (options.is_dry_run) {
        const restore::DryRun costs = restore::estimate_costs(plan, options.destination());
        terminal.result(options.common.json ? restore::to_json(plan, costs).dump(2) + "\n"
                                            : restore::to_text(plan, costs));
        return 0;
    }
    if (plan.request.selection.method == restore::Method::fit) {
        provide_moments(plan, options, terminal, watch);
    }
    const restore::Execution execution = make_execution(options.common, watch);
    const auto finish = [&](const std::vector<restore::Result>& results) {
        print_results(results, plan.findings, options.common, start, terminal);
        if (options.reading.is_strict) {
            restore::refuse_result_warnings(results);
        }
        return 0;
    };
    if (shard) {
        const auto result =
            restore::write_shard(plan, options.out, options.output, *shard, execution);
        if (!result.whole) {
            terminal.result(options.common.json ? restore::to_json(result, *shard).dump(2) + "\n"
                                                : restore::to_text(result, *shard));
            return 0;
        }
        return finish({*result.whole});
    }
    return finish(restore::repair(plan, options.destination(), execution));
}

/// Repairs the adapter itself.
int repair_adapter(restore::AdapterPlan plan,
                   const RestoreOptions& options,
                   Terminal& terminal,
                   const Watch& watch,
                   Clock::time_point start) {
    if (!options.writes_folder() || !options.shard.empty()) {
        throw Error(ErrorKind::usage,
                    "a repaired adapter needs --out, and no --in-place, --patch or --shard");
    }
    report_findings(plan.findings, options.reading, terminal);
    if (options.is_dry_run) {
        terminal.result(options.common.json ? restore::to_json(plan).dump(2) + "\n"
                                            : restore::to_text(plan));
        return 0;
    }
    if (plan.request.selection.method == restore::Method::fit) {
        provide_moments(plan.fit, options, terminal, watch);
        plan.request = plan.fit.request;
    }
    const std::vector<restore::Result> results =
        restore::write_adapters(plan,
                                restore::list_targets(options.out, plan.request),
                                options.output,
                                options.is_tidy,
                                make_execution(options.common, watch));
    print_results(results, plan.findings, options.common, start, terminal);
    return 0;
}

int run(const RestoreOptions& options, Terminal& terminal, const Watch& watch) {
    const restore::Request request = check(options);
    const auto start = Clock::now();
    const std::string& post = options.merges() ? options.adapter : options.post;
    const bool is_adapter = checkpoint::is_adapter(post);
    if (options.is_tidy && (options.merges() || !is_adapter)) {
        throw Error(ErrorKind::usage, "--tidy belongs to an adapter as --post");
    }
    if (options.merges() || is_adapter) {
        const checkpoint::AdapterPair pair =
            restore::open_adapter_pair(options.pre,
                                       post,
                                       make_open_options(options.reading),
                                       make_recognise_options(options.reading),
                                       request);
        if (options.merges()) {
            return carry_out(make_merge_plan(pair.match, request, options.rounding()),
                             options,
                             terminal,
                             watch,
                             start);
        }
        return repair_adapter(
            restore::make_adapter_plan(pair.match, request), options, terminal, watch, start);
    }
    const restore::CheckpointPair pair = open_pair(options.pre, post, options.reading);
    return carry_out(
        restore::make_plan(pair.pre, pair.post, request), options, terminal, watch, start);
}

}  // namespace

Action add_restore(CLI::App& app) {
    return make_action<RestoreOptions>(app, declare, run);
}

}  // namespace anamnesis::app
