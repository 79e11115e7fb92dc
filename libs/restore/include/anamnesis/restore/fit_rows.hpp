// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit.hpp"
#include "anamnesis/restore/moments.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {

/// The moments of both sides for one group.
struct GroupMoments {
    Moment recall;
    Moment chains;
};

/// Scaled, of all texts. Errors: `not_found` for a moment that the source does not have;
/// `mismatch` for one of another size than the rows that it is for; as `scale_moment`.
GroupMoments load_group_moments(const FitGroup& group, const MomentSource& source);

/// As they were summed, of the texts that were held back; nothing where none were.
/// Errors: `mismatch` as above.
std::optional<GroupMoments> load_held_back_moments(const FitGroup& group,
                                                   const MomentSource& source);

/// The scaled moments of the texts that were not held back. Errors: as above.
GroupMoments load_other_moments(const FitGroup& group,
                                const MomentSource& source,
                                const GroupMoments& held_back);

/// Inputs of an expert on either side below which they say too little: it stays post's.
inline constexpr std::uint64_t least_expert_inputs = 32;

/// Whether the block is an expert's that stays post's, having too few inputs.
/// Errors: `mismatch` for moments of experts that do not tell their counts.
bool has_few_inputs(const FitGroup& group, const HeadBlock& block, const GroupMoments& moments);

/// What a reader should know of the moments of a plan: experts that stay post's, with their count.
/// Errors: `not_found` for a moment that is not there; `mismatch` as `has_few_inputs`.
std::vector<checkpoint::Finding> find_few_inputs(const Plan& plan);

/// Told the fitted rows of a block, not rounded; with a bias, it is the last column.
using TakeRows = std::function<void(const HeadBlock& block, linalg::Matrix rows)>;

/// Fits the rows of the group and hands them over block by block.
void compute_fit(const FitGroup& group,
                 const GroupMoments& moments,
                 const FitBalance& balance,
                 const TakeRows& take);

/// The matrix of a head; the only one where all share it.
const linalg::Matrix& of_head(const Moment& moment, std::uint32_t head);

/// The values of a matrix from `first_column` on, as the rows of the tensor have them.
/// Shapes: values [matrix_rows, at least first_column + matrix_columns].
std::vector<double> order_as_stored(const HeadRows& rows,
                                    linalg::MatrixView<const double> values,
                                    std::size_t first_column);

}  // namespace anamnesis::restore
