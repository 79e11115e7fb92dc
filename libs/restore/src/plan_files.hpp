// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "anamnesis/restore/plan.hpp"

#include "clean_names.hpp"

namespace anamnesis::restore {

/// Bytes [begin, end) of a file.
using FileRange = std::pair<std::uint64_t, std::uint64_t>;

/// For each file of post the ranges that no splice of the plan replaces, ascending; without the
/// header of a file that gets another one (`renamed`, empty: none does).
std::vector<std::vector<FileRange>> find_kept_ranges(const Plan& plan,
                                                     const std::vector<RenamedFile>& renamed = {});

/// The files of post in which rows change.
std::set<std::uint32_t> find_changed_files(const Plan& plan);

}  // namespace anamnesis::restore
