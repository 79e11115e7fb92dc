// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/merge.hpp"
#include "anamnesis/restore/qk_pro.hpp"

#include "merge_rows.hpp"

namespace anamnesis::restore {

/// The rows of one tensor of the base with what the adapter makes of them, in the type of the base.
/// Any thread may ask, each with its own scratch.
/// Memory: the right factor of the module.
class MergedRows {
public:
    /// What `merged` points to must outlive it.
    MergedRows(const MergedTensor& merged, MergeRounding rounding);

    std::size_t row_bytes() const { return merged_.base->row_bytes(); }

    /// Fills `bytes` with merged rows, `alpha` of the way from there back to the base.
    void make(checkpoint::RowRange rows,
              double alpha,
              std::span<std::byte> bytes,
              MergeScratch& scratch) const;

    /// The same rows under a filter of QK-Pro for one head.
    void make_filtered(const ProFilter& filter,
                       double lambda,
                       checkpoint::RowRange rows,
                       std::span<std::byte> bytes,
                       MergeScratch& scratch) const;

private:
    bool is_low_rank() const;
    void merge_left(checkpoint::RowRange rows,
                    const linalg::Matrix& left,
                    std::span<std::byte> bytes,
                    MergeScratch& scratch) const;
    linalg::Matrix make_post_rows(checkpoint::RowRange rows) const;
    linalg::Matrix load_magnitudes(checkpoint::RowRange rows) const;
    linalg::Matrix make_saved_rows(checkpoint::RowRange rows) const;

    MergedTensor merged_;
    MergeRounding rounding_;
    std::optional<MergeFactors> factors_{};
};

}  // namespace anamnesis::restore
