// SPDX-License-Identifier: Apache-2.0
#include <sys/ioctl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <linux/fs.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/progress.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/background_sync.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "measure.hpp"
#include "output_headers.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {

namespace {

constexpr std::uint64_t copy_block = 32U << 20U;

struct Copy {
    const io::File& source;
    const io::File& target;
    std::uint64_t shift = 0;  ///< bytes by which everything lies further back in the target
};

/// Shares all blocks of the source, so that only replaced rows are written.
bool try_clone(const io::File& source, const io::File& target) {
    return ::ioctl(target.descriptor(), FICLONE, source.descriptor()) == 0;
}

/// Copies the ranges in blocks, between which it can be stopped. One job: writes into one file wait
/// for each other, and other threads measure meanwhile.
void copy_ranges(const Copy& copy,
                 const std::vector<FileRange>& ranges,
                 const Execution& execution) {
    for (const auto& [first, end] : ranges) {
        for (std::uint64_t begin = first; begin < end; begin += copy_block) {
            execution.check();
            const std::uint64_t size = std::min(copy_block, end - begin);
            io::copy_range(copy.source, begin, copy.target, begin + copy.shift, size);
            execution.advance(size);
        }
    }
}

}  // namespace

Result write_single_file(const Plan& plan,
                         const std::filesystem::path& target,
                         const OutputOptions& options,
                         const Execution& execution) {
    const checkpoint::WeightFile& source = plan.post->checkpoint.files().front();
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::symlink_status(target, ignored))) {
        throw Error(ErrorKind::usage,
                    format("output {} exists already; name a file that does not exist, or remove "
                           "it first",
                           in_quotes(target.string(), 1000)));
    }
    const std::vector<RenamedFile> renamed = make_output_headers(plan, options);
    const auto shift = static_cast<std::uint64_t>(renamed.front().shift);
    io::AtomicFile output(target);
    const bool is_shared = renamed.front().header.empty() && try_clone(*source.file, output.file());
    if (!is_shared) {
        output.file().reserve(source.bytes + shift);
    }
    output.file().write_at(0, std::as_bytes(std::span(renamed.front().header)));
    execution.watch.progress().begin("writing", source.bytes, ProgressUnit::bytes);
    io::BackgroundSync sync({&output.file()});
    Jobs jobs;
    const auto kept = find_kept_ranges(plan, renamed);
    if (!is_shared) {
        jobs.emplace_back([&] {
            copy_ranges({.source = *source.file, .target = output.file(), .shift = shift},
                        kept.front(),
                        execution);
        });
    }
    const RowTargets targets = targets_in_checkpoint(plan, {&output.file()}, renamed);
    add_row_jobs(plan, std::span(&targets, 1), execution, jobs);
    std::vector<ChangeMeasure> measures;
    add_jobs_before(plan, measures, execution, jobs);
    run(jobs, execution);
    refuse_equal_rows(plan, measures);
    // The disk takes the rows while they are read back from memory.
    sync.begin_sync();
    Jobs after;
    add_jobs_after(plan, targets, measures, execution, after);
    run(after, execution);
    sync.finish();
    execution.watch.progress().finish();
    Result result;
    result.path = target;
    result.receipt = make_receipt(plan, measures);
    result.bytes_written = source.bytes + shift;
    std::ranges::move(list_notes(result.receipt), std::back_inserter(result.notes));
    execution.check();
    io::write_text_atomically(target.string() + ".anamnesis.json", result.receipt.dump(2) + "\n");
    output.commit();
    return result;
}

}  // namespace anamnesis::restore
