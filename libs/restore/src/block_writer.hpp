// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>

#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"

namespace anamnesis::restore {

/// Takes computed rows to the outputs of a plan. Threads: const functions may run at once.
class BlockWriter {
public:
    /// All of it must outlive the writer.
    BlockWriter(const Plan& plan, std::span<const RowTargets> outputs, const Execution& execution);

    const Plan& plan() const noexcept { return *plan_; }
    const Execution& execution() const noexcept { return *execution_; }
    std::size_t outputs() const noexcept { return outputs_.size(); }

    /// Rounds rows to the checkpoint's dtype, once, and writes them; the last column is the bias
    /// where the block has one. Rows that the plan does not change are left out.
    void write(const HeadBlock& block,
               linalg::MatrixView<const double> values,
               std::size_t output) const;

private:
    void write_rows(const HeadRows& rows,
                    linalg::MatrixView<const double> values,
                    std::size_t first_column,
                    std::size_t output) const;

    const Plan* plan_;
    std::span<const RowTargets> outputs_;
    const Execution* execution_;
    std::unordered_map<const checkpoint::TensorEntry*, std::size_t> change_of_;
};

}  // namespace anamnesis::restore
