// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "clean_names.hpp"

namespace anamnesis::restore {

/// Where the rows of one change go in one output.
struct ChangeTarget {
    const io::File* file = nullptr;
    std::vector<std::uint64_t> offsets;  ///< of each splice's first row
    std::uint64_t tensor_offset = 0;     ///< of the whole tensor, where the target is a checkpoint
};

/// One output: a target for each change of the plan.
using RowTargets = std::vector<ChangeTarget>;

/// The target that puts every row where the checkpoint has it; `files` are those of post, whose
/// tensors may lie further back by the shift of their file (`renamed`, empty: none is).
RowTargets targets_in_checkpoint(const Plan& plan,
                                 const std::vector<const io::File*>& files,
                                 const std::vector<RenamedFile>& renamed = {});

/// Where `row` of a post tensor goes.
/// Errors: `internal` for a row that no splice holds.
std::uint64_t offset_of_row(const TensorChange& change,
                            const ChangeTarget& target,
                            std::uint64_t row);

/// Where in the plan the change of the scale is that belongs to a requantised weight.
/// Errors: `internal` where there is none.
std::size_t find_scale_change(const Plan& plan, const TensorChange& change);

using Jobs = std::vector<std::function<void()>>;

/// Adds the jobs that write every changed row of the plan into every output (one a lambda).
void add_row_jobs(const Plan& plan,
                  std::span<const RowTargets> outputs,
                  const Execution& execution,
                  Jobs& jobs);

/// Adds the jobs for the routing groups of pro and align.
void add_group_jobs(const Plan& plan,
                    std::span<const RowTargets> outputs,
                    const Execution& execution,
                    Jobs& jobs);

/// Adds the jobs for the fit groups of fit.
/// Errors: `internal` for a plan that lacks its moments.
void add_fit_jobs(const Plan& plan,
                  std::span<const RowTargets> outputs,
                  const Execution& execution,
                  Jobs& jobs);

/// Adds the jobs that merge an adapter into the rows of a plan that has one.
void add_merge_jobs(const Plan& plan,
                    std::span<const RowTargets> outputs,
                    const Execution& execution,
                    Jobs& jobs);

void run(const Jobs& jobs, const Execution& execution);

}  // namespace anamnesis::restore
