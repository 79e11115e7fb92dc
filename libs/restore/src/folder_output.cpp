// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "anamnesis/base/progress.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/side_files.hpp"
#include "anamnesis/io/atomic_directory.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "folder_files.hpp"
#include "measure.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

namespace fs = std::filesystem;

bool take_all(std::size_t /*file*/) {
    return true;
}

}  // namespace

OutputCost cost_of_folder(const Plan& plan, const OutputOptions& options) {
    OutputCost cost;
    const auto changed = find_changed_files(plan);
    const auto& files = plan.post->checkpoint.files();
    for (std::uint32_t i = 0; i < files.size(); ++i) {
        if (changed.contains(i) || !options.links_unchanged) {
            cost.bytes_written += files[i].bytes;
        } else {
            cost.bytes_linked += files[i].bytes;
        }
    }
    for (const checkpoint::SideFile& file :
         checkpoint::find_side_files(plan.post->checkpoint).files) {
        cost.bytes_written += file.bytes;
    }
    cost.bytes_read = cost.bytes_written + 2 * plan.changed_bytes();
    cost.peak_memory = cost_of_patch(plan).peak_memory;
    return cost;
}

std::vector<Result> write_folders(const Plan& plan,
                                  const std::vector<fs::path>& targets,
                                  const OutputOptions& options,
                                  const Execution& execution) {
    for (const fs::path& target : targets) {
        check_target(plan, target);
    }
    check_space(targets.front(), cost_of_folder(plan, options).bytes_written * targets.size());
    const checkpoint::SideFiles side = checkpoint::find_side_files(plan.post->checkpoint);
    std::vector<std::unique_ptr<io::AtomicDirectory>> folders;
    std::vector<OutputWeights> outputs(targets.size());
    Jobs jobs;
    std::uint64_t total = 0;
    for (const auto& file : plan.post->checkpoint.files()) {
        total += file.bytes;
    }
    execution.watch.progress().begin("writing", total * targets.size(), ProgressUnit::bytes);
    for (std::size_t i = 0; i < targets.size(); ++i) {
        folders.push_back(std::make_unique<io::AtomicDirectory>(targets[i]));
        prepare_weights(plan, options, folders[i]->path(), take_all, outputs[i], execution, jobs);
    }
    std::vector<RowTargets> row_targets;
    for (const OutputWeights& output : outputs) {
        row_targets.push_back(output.targets);
    }
    add_row_jobs(plan, row_targets, execution, jobs);
    std::vector<ChangeMeasure> before;
    add_jobs_before(plan, before, execution, jobs);
    run(jobs, execution);
    refuse_equal_rows(plan, before);
    // The disk takes the rows while they are read back from memory.
    for (OutputWeights& output : outputs) {
        if (output.sync) {
            output.sync->begin_sync();
        }
    }

    std::vector<Result> results;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
        OutputWeights& output = outputs[i];
        std::vector<ChangeMeasure> measures = before;
        finish_weights(plan, measures, output, execution);
        Json receipt = make_folder_receipt(plan, i, measures, describe_files(output));
        output.bytes_written +=
            write_beside_weights(plan, side, options, folders[i]->path(), receipt);
        std::vector<std::string> notes = list_notes(side, receipt);
        results.push_back({.path = targets[i],
                           .receipt = std::move(receipt),
                           .bytes_written = output.bytes_written,
                           .bytes_linked = output.bytes_linked,
                           .notes = std::move(notes)});
    }
    for (const auto& folder : folders) {
        execution.check();
        folder->commit();
    }
    execution.watch.progress().finish();
    return results;
}

}  // namespace anamnesis::restore
