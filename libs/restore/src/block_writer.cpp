// SPDX-License-Identifier: Apache-2.0
#include "block_writer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/half.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_encoder.hpp"
#include "row_targets.hpp"

namespace anamnesis::restore {

BlockWriter::BlockWriter(const Plan& plan,
                         std::span<const RowTargets> outputs,
                         const Execution& execution)
    : plan_(&plan), outputs_(outputs), execution_(&execution) {
    for (std::size_t i = 0; i < plan.changes.size(); ++i) {
        change_of_.emplace(plan.changes[i].post, i);
    }
}

void BlockWriter::write(const HeadBlock& block,
                        linalg::MatrixView<const double> values,
                        std::size_t output) const {
    write_rows(block.weight, values, 0, output);
    if (block.bias) {
        write_rows(*block.bias, values, values.columns() - 1, output);
    }
}

void BlockWriter::write_rows(const HeadRows& rows,
                             linalg::MatrixView<const double> values,
                             std::size_t first_column,
                             std::size_t output) const {
    const auto found = change_of_.find(rows.post);
    if (found == change_of_.end()) {
        return;
    }
    const TensorChange& change = plan_->changes[found->second];
    const ChangeTarget& target = outputs_[output][found->second];
    const std::uint64_t row_bytes = rows.post->row_bytes();
    const std::size_t columns = rows.post->columns();
    std::vector<std::byte> bytes(rows.rows * row_bytes);
    const std::vector<double> stored = order_as_stored(rows, values, first_column);
    const RowEncoder encoder(*plan_, *rows.post);
    for (std::uint64_t row = 0; row < rows.rows; ++row) {
        encoder.encode(rows.post_row + row,
                       std::span(stored).subspan(row * columns, columns),
                       std::span(bytes).subspan(row * row_bytes, row_bytes));
    }
    target.file->write_at(offset_of_row(change, target, rows.post_row), bytes);
    execution_->advance(bytes.size());
}

}  // namespace anamnesis::restore
