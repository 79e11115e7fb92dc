// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "execution.hpp"
#include "open_checkpoint.hpp"
#include "option_group.hpp"
#include "options/common.hpp"
#include "options/fit.hpp"
#include "options/reading.hpp"
#include "options/selection.hpp"
#include "print_findings.hpp"
#include "print_repair.hpp"
#include "provide_moments.hpp"
#include "terminal.hpp"
#include "verb.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

struct RestoreOptions {
    CommonOptions common{};
    ReadingOptions reading{};
    SelectionOptions selection{};
    FitOptions fit{};
    std::string pre{};
    std::string post{};
    std::string out{};
    std::string patch{};
    bool is_in_place = false;
    bool is_dry_run = false;
    restore::OutputOptions output{};
    std::string note{};

    bool writes_folder() const { return !is_in_place && patch.empty(); }
    /// Whether post is to run over texts.
    bool needs_model() const { return fit.calibrates() && !is_dry_run; }
};

void declare(CLI::App& app, RestoreOptions& options) {
    OptionGroup required(app, "Required");
    required.option("--pre", options.pre, "The checkpoint before the fine-tune.")->required();
    required.option("--post", options.post, "The checkpoint after it.")->required();
    OptionGroup destination(app, "Where the repair goes (one of them)");
    auto* out = destination.option(
        "--out", options.out, "A new folder, or a .safetensors file where post is one.");
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
    output.negation("--no-sync",
                    options.output.is_synced,
                    "Do not wait for the disk. A power cut may then cost the output.");
    OptionGroup(app, "The receipt")
        .option("--note", options.note, "A text for the receipt: why the repair, or by whom.");
    declare_reading(app, options.reading);
    declare_strict(app, options.reading);
}

/// Errors: `usage`.
restore::Request check(const RestoreOptions& options) {
    if (options.writes_folder() && options.out.empty() && !options.is_dry_run) {
        throw Error(ErrorKind::usage,
                    "restore needs one of --out FOLDER, --in-place, --patch FILE or --dry-run");
    }
    restore::Request request = options.selection.make_request();
    request.note = options.note;
    request.fit = options.fit.make_settings(request.selection);
    const bool has_several = restore::count_outputs(request) > 1;
    if (options.is_in_place && has_several) {
        throw Error(ErrorKind::usage,
                    "--in-place takes one strength; several need --out or --patch");
    }
    if (has_several && fs::path(options.out).extension() == ".safetensors") {
        throw Error(ErrorKind::usage, "several strengths need a folder as --out, or --patch");
    }
    if (!options.writes_folder() &&
        (options.output.links_unchanged || options.output.has_model_card)) {
        throw Error(ErrorKind::usage, "--link and --model-card belong to --out");
    }
    if (!options.writes_folder() &&
        (options.output.has_clean_names || options.output.has_fixed_config)) {
        throw Error(ErrorKind::usage, "--clean-names and --fix-config belong to --out");
    }
    if (!options.writes_folder() && !options.output.is_synced) {
        throw Error(ErrorKind::usage, "--no-sync belongs to --out");
    }
    return request;
}

std::string make_suffix(const restore::Request& request, std::size_t output) {
    if (request.selection.method == restore::Method::fit) {
        return format("-mu-{}", request.fit.mus[output]);
    }
    const restore::Lambda& lambda = request.lambdas[output];
    return format("-lambda-{}{}", lambda.is_relative ? "rel-" : "", lambda.value);
}

/// One path a strength: "out" for one, "out-lambda-rel-0.1" or "out-mu-0.3" and so on for several.
/// A file keeps its extension.
std::vector<fs::path> list_targets(const std::string& path, const restore::Request& request) {
    const std::size_t outputs = restore::count_outputs(request);
    if (outputs == 1) {
        return {path};
    }
    const fs::path given(path);
    const fs::path base = given.has_filename() ? given : given.parent_path();
    std::vector<fs::path> targets;
    for (std::size_t output = 0; output < outputs; ++output) {
        fs::path name = base.filename();
        const fs::path extension =
            name.extension() == ".safetensors" ? name.extension() : fs::path();
        if (!extension.empty()) {
            name = name.stem();
        }
        name += make_suffix(request, output);
        name += extension;
        targets.push_back(base.parent_path() / name);
    }
    return targets;
}

/// A post that is one file may be repaired into one: --out out.safetensors.
bool is_single_file_target(const checkpoint::RecognisedCheckpoint& post, const std::string& out) {
    return post.checkpoint.is_single_file() && fs::path(out).extension() == ".safetensors";
}

std::string describe_rows(const restore::TensorChange& change) {
    std::vector<std::string> ranges;
    for (const restore::RowSplice& splice : change.splices) {
        ranges.push_back(format("{}-{}", splice.rows.begin, splice.rows.end - 1));
    }
    constexpr std::size_t most = 4;
    if (ranges.size() > most) {
        const std::size_t left = ranges.size() - most;
        ranges.resize(most);
        ranges.push_back(format("… {} more ranges", left));
    }
    return join(ranges, ",");
}

struct Costs {
    restore::OutputCost cost;
    std::uint64_t outputs = 1;
    std::uint64_t free = 0;
};

Costs estimate_costs(const restore::Plan& plan, const RestoreOptions& options) {
    Costs costs;
    fs::path place;
    if (options.is_in_place) {
        costs.cost = restore::cost_in_place(plan);
        place = plan.post->checkpoint.folder();
    } else if (!options.patch.empty()) {
        costs.cost = restore::cost_of_patch(plan);
        place = fs::absolute(options.patch).parent_path();
    } else {
        costs.cost = restore::cost_of_folder(plan, options.output);
        place = options.out.empty() ? fs::current_path() : fs::absolute(options.out).parent_path();
    }
    while (!fs::exists(place) && place.has_relative_path()) {
        place = place.parent_path();
    }
    costs.outputs = restore::count_outputs(plan.request);
    costs.free = io::free_bytes(place);
    return costs;
}

Json to_json(const restore::Plan& plan, const Costs& costs) {
    Json changes = Json::array();
    for (const restore::TensorChange& change : plan.changes) {
        Json rows = Json::array();
        for (const restore::RowSplice& splice : change.splices) {
            rows.push_back(Json::Array{splice.rows.begin, splice.rows.end});
        }
        changes.push_back(Json::Object{{"tensor", change.post->name},
                                       {"pre_tensor", change.pre->name},
                                       {"part", change.part},
                                       {"rows", std::move(rows)},
                                       {"bytes", change.changed_bytes()}});
    }
    return Json::Object{{"dry_run", true},
                        {"request", restore::to_json(plan.request)},
                        {"changes", std::move(changes)},
                        {"bytes_changed", plan.changed_bytes()},
                        {"outputs", costs.outputs},
                        {"bytes_read", costs.cost.bytes_read},
                        {"bytes_written", costs.cost.bytes_written * costs.outputs},
                        {"bytes_linked", costs.cost.bytes_linked * costs.outputs},
                        {"peak_memory", costs.cost.peak_memory},
                        {"free_space", costs.free},
                        {"findings", checkpoint::to_json(plan.findings)}};
}

void print_plan(const restore::Plan& plan, const RestoreOptions& options, Terminal& terminal) {
    const Costs costs = estimate_costs(plan, options);
    if (options.common.json) {
        terminal.result(to_json(plan, costs).dump(2) + "\n");
        return;
    }
    std::vector<std::vector<std::string>> rows;
    for (const restore::TensorChange& change : plan.changes) {
        rows.push_back({change.post->name,
                        change.part,
                        describe_rows(change),
                        human_bytes(change.changed_bytes())});
    }
    terminal.result(report::text_table({"tensor", "part", "rows from pre", ">size"}, rows));
    terminal.result(
        format("{} of rows change; {} read, {} written, {} shared; about {} of memory; "
               "{} free\nnothing was written (--dry-run)\n",
               human_bytes(plan.changed_bytes()),
               human_bytes(costs.cost.bytes_read),
               human_bytes(costs.cost.bytes_written * costs.outputs),
               human_bytes(costs.cost.bytes_linked * costs.outputs),
               human_bytes(costs.cost.peak_memory),
               human_bytes(costs.free)));
}

void introduce(const restore::Plan& plan, const RestoreOptions& options, Terminal& terminal) {
    report_findings(plan.findings, options.reading, terminal);
    const auto layers = plan.changed_layers();
    terminal.say(
        format("{} ({}): method {}, {} in {} tensors{} from {} into {}",
               plan.post->model.family,
               plan.post->model.evidence,
               restore::name_of(plan.request.selection.method),
               human_bytes(plan.changed_bytes()),
               plan.changes.size(),
               layers.empty() ? std::string() : format(" of layers {}", compact_list(layers)),
               plan.pre->checkpoint.path().string(),
               plan.post->checkpoint.path().string()));
}

std::vector<restore::Result> write(const restore::Plan& plan,
                                   const RestoreOptions& options,
                                   const restore::Execution& execution) {
    if (options.is_in_place) {
        return {restore::write_in_place(plan, execution)};
    }
    if (!options.patch.empty()) {
        return restore::write_patches(plan, list_targets(options.patch, plan.request), execution);
    }
    if (is_single_file_target(*plan.post, options.out)) {
        return {restore::write_single_file(plan, options.out, options.output, execution)};
    }
    return restore::write_folders(
        plan, list_targets(options.out, plan.request), options.output, execution);
}

int run(const RestoreOptions& options, Terminal& terminal, const Watch& watch) {
    const restore::Request request = check(options);
    const auto start = std::chrono::steady_clock::now();
    const checkpoint::RecognisedCheckpoint pre = open_checkpoint(options.pre, options.reading);
    const checkpoint::RecognisedCheckpoint post = open_checkpoint(options.post, options.reading);
    restore::Plan plan = restore::make_plan(pre, post, request);
    introduce(plan, options, terminal);
    if (options.is_dry_run) {
        print_plan(plan, options, terminal);
        return 0;
    }
    if (request.selection.method == restore::Method::fit) {
        provide_moments(plan, options.fit, options.common, watch);
    }
    const std::vector<restore::Result> results =
        write(plan, options, make_execution(options.common, watch));
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_results(results, plan.findings, options.common, seconds, terminal);
    return 0;
}

}  // namespace

Action add_restore(CLI::App& app) {
    return make_action<RestoreOptions>(app, declare, run);
}

}  // namespace anamnesis::app
