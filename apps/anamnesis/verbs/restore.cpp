// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/base/watch.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "options.hpp"
#include "render/tables.hpp"
#include "sources.hpp"
#include "terminal.hpp"
#include "verbs/repair_output.hpp"
#include "verbs/verbs.hpp"

namespace anamnesis::app {
namespace {

namespace fs = std::filesystem;

/// One path a lambda: "out" for one, "out-lambda-rel-0.1" and so on for several. A file keeps its
/// extension.
std::vector<fs::path> targets_of(const std::string& path, const restore::Request& request) {
    if (request.selection.method != restore::Method::pro || request.lambdas.size() == 1) {
        return {path};
    }
    const fs::path given(path);
    const fs::path base = given.has_filename() ? given : given.parent_path();
    std::vector<fs::path> targets;
    for (const restore::Lambda& lambda : request.lambdas) {
        const std::string suffix =
            format("-lambda-{}{}", lambda.is_relative ? "rel-" : "", lambda.value);
        fs::path name = base.filename();
        const fs::path extension =
            name.extension() == ".safetensors" ? name.extension() : fs::path();
        if (!extension.empty()) {
            name = name.stem();
        }
        name += suffix;
        name += extension;
        targets.push_back(base.parent_path() / name);
    }
    return targets;
}

/// A post that is one file may be repaired into one: --out out.safetensors.
bool is_single_file_target(const restore::Source& post, const std::string& out) {
    return post.checkpoint.is_single_file() && fs::path(out).extension() == ".safetensors";
}

std::string rows_text(const restore::TensorChange& change) {
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

Costs costs_of(const restore::Plan& plan,
               const RestoreOptions& options,
               const restore::OutputOptions& output) {
    Costs costs;
    fs::path place;
    if (options.in_place) {
        costs.cost = restore::cost_in_place(plan);
        place = plan.post->checkpoint.folder();
    } else if (!options.patch.empty()) {
        costs.cost = restore::cost_of_patch(plan);
        place = fs::absolute(options.patch).parent_path();
    } else {
        costs.cost = restore::cost_of_folder(plan, output);
        place = options.out.empty() ? fs::current_path() : fs::absolute(options.out).parent_path();
    }
    while (!fs::exists(place) && place.has_relative_path()) {
        place = place.parent_path();
    }
    if (plan.request.selection.method == restore::Method::pro && !options.in_place) {
        costs.outputs = plan.request.lambdas.size();
    }
    costs.free = io::free_bytes(place);
    return costs;
}

int print_plan(const restore::Plan& plan,
               const RestoreOptions& options,
               const restore::OutputOptions& output,
               Terminal& terminal) {
    const Costs costs = costs_of(plan, options, output);
    if (options.common.json) {
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
        const Json json = Json::Object{{"dry_run", true},
                                       {"request", restore::to_json(plan.request)},
                                       {"changes", std::move(changes)},
                                       {"bytes_changed", plan.changed_bytes()},
                                       {"outputs", costs.outputs},
                                       {"bytes_read", costs.cost.bytes_read},
                                       {"bytes_written", costs.cost.bytes_written * costs.outputs},
                                       {"bytes_linked", costs.cost.bytes_linked * costs.outputs},
                                       {"peak_memory", costs.cost.peak_memory},
                                       {"free_space", costs.free}};
        terminal.result(json.dump(2) + "\n");
        return 0;
    }
    std::vector<std::vector<std::string>> rows;
    for (const restore::TensorChange& change : plan.changes) {
        rows.push_back({change.post->name,
                        change.part,
                        rows_text(change),
                        human_bytes(change.changed_bytes())});
    }
    terminal.result(text_table({"tensor", "part", "rows from pre", ">size"}, rows));
    terminal.result(
        format("{} of rows change; {} read, {} written, {} shared; about {} of memory; "
               "{} free\nnothing was written (--dry-run)\n",
               human_bytes(plan.changed_bytes()),
               human_bytes(costs.cost.bytes_read),
               human_bytes(costs.cost.bytes_written * costs.outputs),
               human_bytes(costs.cost.bytes_linked * costs.outputs),
               human_bytes(costs.cost.peak_memory),
               human_bytes(costs.free)));
    return 0;
}

void introduce(const restore::Plan& plan, Terminal& terminal) {
    for (const restore::Source* source : {plan.pre, plan.post}) {
        for (const std::string& warning : source->model.warnings) {
            terminal.warn(format("{}: {}", source->checkpoint.path().string(), warning));
        }
    }
    for (const std::string& warning : plan.warnings) {
        terminal.warn(warning);
    }
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

}  // namespace

int run(const RestoreOptions& options, Terminal& terminal, const Watch& watch) {
    const bool has_destination = options.in_place || !options.out.empty() || !options.patch.empty();
    if (!has_destination && !options.dry_run) {
        throw Error(ErrorKind::usage,
                    "restore needs one of --out FOLDER, --in-place, --patch FILE or --dry-run");
    }
    const restore::Request request = request_of(options.selection);
    if (options.in_place && request.selection.method == restore::Method::pro &&
        request.lambdas.size() > 1) {
        throw Error(ErrorKind::usage, "--in-place takes one lambda; several need --out or --patch");
    }
    if (request.lambdas.size() > 1 && fs::path(options.out).extension() == ".safetensors") {
        throw Error(ErrorKind::usage, "several lambdas need a folder as --out, or --patch");
    }
    if (options.in_place && (options.link || options.model_card)) {
        throw Error(ErrorKind::usage, "--link and --model-card belong to --out");
    }
    const auto start = std::chrono::steady_clock::now();
    const restore::Source pre = open_source(options.pre, options.reading, "pre");
    const restore::Source post = open_source(options.post, options.reading, "post");
    const restore::Plan plan = restore::make_plan(pre, post, request);
    const restore::OutputOptions output{.links_unchanged = options.link,
                                        .has_model_card = options.model_card,
                                        .is_synced = !options.no_sync};
    introduce(plan, terminal);
    if (options.dry_run) {
        return print_plan(plan, options, output, terminal);
    }
    const restore::Execution execution = execution_of(options.common, watch);
    std::vector<restore::Result> results;
    if (options.in_place) {
        results.push_back(restore::write_in_place(plan, execution));
    } else if (!options.patch.empty()) {
        results = restore::write_patches(plan, targets_of(options.patch, request), execution);
    } else if (is_single_file_target(post, options.out)) {
        results.push_back(restore::write_single_file(plan, options.out, execution));
    } else {
        results = restore::write_folders(plan, targets_of(options.out, request), output, execution);
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    print_results(results, options.common, seconds, terminal);
    return 0;
}

}  // namespace anamnesis::app
