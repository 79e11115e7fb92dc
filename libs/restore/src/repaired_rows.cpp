// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/restore/repaired_rows.hpp"

#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

#include "measure.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {
namespace {

/// Gone when it is closed, also where the process is killed.
io::File create_nameless_file() {
    static std::atomic<unsigned> count{0};
    const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                       format("anamnesis-rows-{}-{}", ::getpid(), count++);
    io::File file = io::File::create(path);
    std::filesystem::remove(path);
    return file;
}

}  // namespace

std::vector<RepairedRows> make_repaired_rows(const Plan& plan, const Execution& execution) {
    const io::File file = create_nameless_file();
    file.resize(plan.changed_bytes());
    RowTargets targets;
    std::uint64_t offset = 0;
    for (const TensorChange& change : plan.changes) {
        ChangeTarget& target = targets.emplace_back(ChangeTarget{.file = &file, .offsets = {}});
        for (const RowSplice& splice : change.splices) {
            target.offsets.push_back(offset);
            offset += splice.rows.size() * change.post->row_bytes();
        }
    }
    const std::vector<RowTargets> outputs{std::move(targets)};
    Jobs jobs;
    add_row_jobs(plan, outputs, execution, jobs);
    run(jobs, execution);
    std::vector<RepairedRows> repaired;
    offset = 0;
    for (const TensorChange& change : plan.changes) {
        RepairedRows& rows = repaired.emplace_back(RepairedRows{
            .change = &change, .bytes = std::vector<std::byte>(change.changed_bytes())});
        file.read_at(offset, rows.bytes);
        offset += rows.bytes.size();
    }
    return repaired;
}

std::vector<RepairedRows> repair_in_memory(const Plan& plan, const Execution& execution) {
    if (count_outputs(plan.request) > 1) {
        throw Error(ErrorKind::usage, "a repair in memory takes one strength");
    }
    std::vector<ChangeMeasure> measures(plan.changes.size());
    Jobs jobs;
    add_jobs_before(plan, measures, execution, jobs);
    run(jobs, execution);
    refuse_equal_rows(plan, measures);
    return make_repaired_rows(plan, execution);
}

}  // namespace anamnesis::restore
