// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/repair.hpp"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/report/text_table.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

std::string make_suffix(const Request& request, std::size_t output) {
    if (request.selection.method == Method::fit) {
        return format("-mu-{}", request.fit.mus[output]);
    }
    const Lambda& lambda = request.lambdas[output];
    return format("-lambda-{}{}", lambda.is_relative ? "rel-" : "", lambda.value);
}

std::string describe_rows(const TensorChange& change) {
    std::vector<std::string> ranges;
    for (const RowSplice& splice : change.splices) {
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

Json describe_change(const TensorChange& change) {
    Json rows = Json::array();
    for (const RowSplice& splice : change.splices) {
        rows.push_back(Json::Array{splice.rows.begin, splice.rows.end});
    }
    return Json::Object{{"tensor", change.post->name},
                        {"pre_tensor", change.pre->name},
                        {"part", change.part},
                        {"rows", std::move(rows)},
                        {"bytes", change.changed_bytes()}};
}

/// Where the values of the rows of a plan come from, as a heading of them.
std::string_view describe_source(const Plan& plan) {
    const auto is_of_pre = [](const TensorChange& change) {
        return std::ranges::all_of(change.splices, [](const RowSplice& splice) {
            return splice.source == RowSource::pre;
        });
    };
    if (plan.merge != nullptr) {
        return "rows that the adapter changes";
    }
    return std::ranges::all_of(plan.changes, is_of_pre) ? "rows from pre" : "rows that change";
}

/// The output of a GGUF file is a GGUF file, that of a set a folder with the set.
void check_gguf_output(const Plan& plan, const Destination& destination) {
    const bool is_file = plan.post->checkpoint.is_single_file();
    const bool names_file = destination.path.extension() == ".gguf";
    const std::string post = in_quotes(plan.post->checkpoint.path().string(), 1000);
    if (is_file != names_file) {
        throw Error(ErrorKind::usage,
                    is_file ? format("post {} is one GGUF file, and so is its repair: name a "
                                     ".gguf file as --out, not {}",
                                     post,
                                     in_quotes(destination.path.string(), 1000))
                            : format("post {} is a folder or set of shards, and so is its repair: "
                                     "name a folder as --out, not {}",
                                     post,
                                     in_quotes(destination.path.string(), 1000)));
    }
    if (is_file && count_outputs(plan.request) > 1) {
        throw Error(ErrorKind::usage,
                    "several strengths of one GGUF file need --patch, or one run for each");
    }
    const OutputOptions& options = destination.output;
    if (options.has_clean_names || options.has_fixed_config ||
        (is_file && (options.has_model_card || options.links_unchanged))) {
        throw Error(ErrorKind::usage,
                    "--clean-names, --fix-config, --link and --model-card are for folders of "
                    "safetensors; a GGUF file has no names or config to clean");
    }
}

/// A folder that has the name of a file would be taken for one by every reader.
void check_copy(const Plan& plan, const Destination& destination) {
    const checkpoint::Checkpoint& post = plan.post->checkpoint;
    if (post.gguf()) {
        check_gguf_output(plan, destination);
        return;
    }
    if (destination.output.has_stamp) {
        throw Error(ErrorKind::usage, "--stamp is for GGUF files, and post is none");
    }
    const fs::path ending = destination.path.extension();
    if (ending == ".gguf" || (ending == ".safetensors" && !post.is_single_file())) {
        throw Error(ErrorKind::usage,
                    format("post {} is {}, and so is its repair: name {} as --out, not {}",
                           in_quotes(post.path().string(), 1000),
                           post.is_single_file() ? "one .safetensors file" : "a folder",
                           post.is_single_file() ? "a .safetensors file or a folder" : "a folder",
                           in_quotes(destination.path.string(), 1000)));
    }
}

}  // namespace

std::vector<fs::path> list_targets(const fs::path& path, const Request& request) {
    const std::size_t outputs = count_outputs(request);
    if (outputs == 1) {
        return {path};
    }
    const fs::path base = path.has_filename() ? path : path.parent_path();
    std::vector<fs::path> targets;
    for (std::size_t output = 0; output < outputs; ++output) {
        fs::path name = base.filename();
        const fs::path extension = name.extension() == ".safetensors" || name.extension() == ".gguf"
                                       ? name.extension()
                                       : fs::path();
        if (!extension.empty()) {
            name = name.stem();
        }
        name += make_suffix(request, output);
        name += extension;
        targets.push_back(base.parent_path() / name);
    }
    return targets;
}

std::vector<Result> repair(const Plan& plan,
                           const Destination& destination,
                           const Execution& execution) {
    switch (destination.kind) {
        case Destination::Kind::in_place:
            return {write_in_place(plan, execution)};
        case Destination::Kind::patch:
            return write_patches(plan, list_targets(destination.path, plan.request), execution);
        case Destination::Kind::copy:
            break;
    }
    check_copy(plan, destination);
    const fs::path ending = plan.post->checkpoint.gguf() ? ".gguf" : ".safetensors";
    if (plan.post->checkpoint.is_single_file() && destination.path.extension() == ending) {
        return {write_single_file(plan, destination.path, destination.output, execution)};
    }
    return write_folders(
        plan, list_targets(destination.path, plan.request), destination.output, execution);
}

DryRun estimate_costs(const Plan& plan, const Destination& destination) {
    if (destination.kind == Destination::Kind::copy && !destination.path.empty()) {
        check_copy(plan, destination);
    }
    DryRun costs;
    fs::path place = destination.path.empty() ? fs::current_path()
                                              : fs::absolute(destination.path).parent_path();
    switch (destination.kind) {
        case Destination::Kind::in_place:
            costs.cost = cost_in_place(plan);
            place = plan.post->checkpoint.folder();
            break;
        case Destination::Kind::patch:
            costs.cost = cost_of_patch(plan);
            break;
        case Destination::Kind::copy:
            costs.cost = cost_of_folder(plan, destination.output);
            break;
    }
    while (!fs::exists(place) && place.has_relative_path()) {
        place = place.parent_path();
    }
    costs.outputs = count_outputs(plan.request);
    costs.free_bytes = io::free_bytes(place);
    return costs;
}

Json to_json(const Plan& plan, const DryRun& costs) {
    Json changes = Json::array();
    for (const TensorChange& change : plan.changes) {
        changes.push_back(describe_change(change));
    }
    return Json::Object{{"dry_run", true},
                        {"request", to_json(plan.request)},
                        {"changes", std::move(changes)},
                        {"bytes_changed", plan.changed_bytes()},
                        {"outputs", costs.outputs},
                        {"bytes_read", costs.cost.bytes_read},
                        {"bytes_written", costs.cost.bytes_written * costs.outputs},
                        {"bytes_linked", costs.cost.bytes_linked * costs.outputs},
                        {"peak_memory", costs.cost.peak_memory},
                        {"free_space", costs.free_bytes},
                        {"findings", checkpoint::to_json(plan.findings)}};
}

std::string to_text(const Plan& plan, const DryRun& costs) {
    std::vector<std::vector<std::string>> rows;
    for (const TensorChange& change : plan.changes) {
        rows.push_back({change.post->name,
                        change.part,
                        describe_rows(change),
                        human_bytes(change.changed_bytes())});
    }
    return report::text_table({"tensor", "part", std::string(describe_source(plan)), ">size"},
                              rows) +
           format(
               "{} of rows change; {} read, {} written, {} shared; about {} of memory; "
               "{} free\nnothing was written (--dry-run)\n",
               human_bytes(plan.changed_bytes()),
               human_bytes(costs.cost.bytes_read),
               human_bytes(costs.cost.bytes_written * costs.outputs),
               human_bytes(costs.cost.bytes_linked * costs.outputs),
               human_bytes(costs.cost.peak_memory),
               human_bytes(costs.free_bytes));
}

}  // namespace anamnesis::restore
