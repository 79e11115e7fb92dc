// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/adapter_repair.hpp"

namespace anamnesis::restore {

/// True for types of which `load_rows` reads the values: plain ones, and blocks without a codebook
/// that hold all of theirs.
bool holds_values(DType dtype) noexcept;

/// Rows of a tensor in float64, exactly; blocks as `dequantise` has them. A vector has one column.
/// Errors: `unsupported` for a type without `holds_values`.
linalg::Matrix load_rows(const checkpoint::TensorEntry& tensor, checkpoint::RowRange rows);

/// The norms of rows of a matrix, summed in float64.
std::vector<double> measure_row_norms(const checkpoint::TensorEntry& tensor,
                                      checkpoint::RowRange rows);

/// The new bytes of the rows that one edit takes. `request` has one lambda.
/// Errors: those of QK-Pro.
std::vector<std::byte> make_edited_rows(const AdapterPlan& plan,
                                        const Request& request,
                                        const AdapterTensor& tensor,
                                        const EditedRows& edited);

}  // namespace anamnesis::restore
