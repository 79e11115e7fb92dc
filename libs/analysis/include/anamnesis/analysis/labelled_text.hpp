// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "anamnesis/language/supervised_text.hpp"

namespace anamnesis::analysis {

using language::unsupervised;

/// A text as a model is trained on it. The prediction of `labels[t + 1]` at position t counts
/// where that label is not `unsupervised`; the first label is never predicted.
struct LabelledText {
    std::vector<std::int64_t> ids{};
    std::vector<std::int64_t> labels{};  ///< as many
};

/// Whether position t carries a prediction, for every t; the last never does.
std::vector<bool> predicting_positions(const LabelledText& text);

/// How many do.
std::size_t prediction_count(const LabelledText& text);

/// Reads `input_ids` and `labels` [B, T], int64 or int32, one text a row.
/// Errors: `not_found`, `mismatch` or `malformed`, naming the file and the tensor.
std::vector<LabelledText> read_labelled_rows(const std::filesystem::path& path);

}  // namespace anamnesis::analysis
