// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// Bytes [begin, end) of a file.
using FileRange = std::pair<std::uint64_t, std::uint64_t>;

/// For each file of post the ranges that no splice of the plan replaces, ascending.
std::vector<std::vector<FileRange>> find_kept_ranges(const Plan& plan);

/// The files of post in which rows change.
std::set<std::uint32_t> find_changed_files(const Plan& plan);

}  // namespace anamnesis::restore
