// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/checkpoint/finding.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/restore/plan.hpp"
#include "anamnesis/restore/request.hpp"

namespace anamnesis::restore {

/// The rows that a selection takes, as changes in the order of post's files.
/// What does not fit adds a line to `problems`.
/// Errors: `usage` for heads of a tensor that has no rows of heads.
std::vector<TensorChange> select_rows(const RecognisedCheckpoint& pre,
                                      const RecognisedCheckpoint& post,
                                      const Selection& selection,
                                      std::vector<std::string>& problems,
                                      std::vector<checkpoint::Finding>& findings);

/// The scale tensors of quantised weights among `changes`, with the rows that follow; marks the
/// changes whose rows go from one storage into another.
/// Errors: `unsupported` where one scale row serves repaired and other rows.
std::vector<TensorChange> select_scales(const RecognisedCheckpoint& pre,
                                        const RecognisedCheckpoint& post,
                                        std::vector<TensorChange>& changes,
                                        std::vector<std::string>& problems,
                                        std::vector<checkpoint::Finding>& findings);

/// True for types whose rows can be read as values.
inline bool has_values(DType dtype) {
    return is_arithmetic(dtype) || checkpoint::is_scaled(dtype) ||
           (can_dequantise(dtype) && dtype != DType::nvfp4);
}
/// True for types that rows of values can be written as.
inline bool takes_values(DType dtype) {
    return is_arithmetic(dtype) || checkpoint::is_scaled(dtype) || can_quantise(dtype);
}

/// The switch that would give an empty selection rows: "--include-sliding"; empty where none would.
std::string switch_that_helps(const RecognisedCheckpoint& post, const Selection& selection);

}  // namespace anamnesis::restore
