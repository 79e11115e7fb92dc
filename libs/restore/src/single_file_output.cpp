// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/io/atomic_file.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "measure.hpp"
#include "output_headers.hpp"
#include "plan_files.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {

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
    output.file().reserve(source.bytes + shift);
    output.file().write_at(0, std::as_bytes(std::span(renamed.front().header)));
    Jobs jobs;
    const auto kept = find_kept_ranges(plan, renamed);
    for (const auto& [begin, end] : kept.front()) {
        jobs.emplace_back([&output, &source, shift, begin = begin, end = end] {
            io::copy_range(*source.file, begin, output.file(), begin + shift, end - begin);
        });
    }
    const RowTargets targets = targets_in_checkpoint(plan, {&output.file()}, renamed);
    add_row_jobs(plan, std::span(&targets, 1), execution, jobs);
    std::vector<ChangeMeasure> measures;
    add_jobs_before(plan, measures, execution, jobs);
    run(jobs, execution);
    refuse_equal_rows(plan, measures);
    Jobs after;
    add_jobs_after(plan, targets, measures, execution, after);
    run(after, execution);
    Result result;
    result.path = target;
    result.receipt = make_receipt(plan, measures);
    result.bytes_written = source.bytes + shift;
    if (auto note = describe_rounding(result.receipt)) {
        result.notes.push_back(*std::move(note));
    }
    execution.check();
    io::write_text_atomically(target.string() + ".anamnesis.json", result.receipt.dump(2) + "\n");
    output.commit();
    return result;
}

}  // namespace anamnesis::restore
