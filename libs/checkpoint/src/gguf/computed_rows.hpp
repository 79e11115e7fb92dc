// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"

namespace anamnesis::checkpoint {

/// What happens to the values of a row on their way into a GGUF file. Values of float16 tensors are
/// rounded to float16 after each step, all others to float32.
struct GgufTransform {
    std::vector<double> factors{};  ///< multiplied one after another
    bool adds_one = false;
    GgufVia via = GgufVia::none;
};

/// A tensor of plain or scaled values, read as float32.
class SourceRows {
public:
    /// Errors: `unsupported` for a tensor that holds no plain values.
    SourceRows(const Checkpoint& checkpoint, const TensorEntry& tensor);

    std::uint64_t columns() const { return tensor_.columns(); }
    /// One row, transformed.
    void read(std::uint64_t row, const GgufTransform& transform, std::span<float> values) const;

private:
    TensorEntry tensor_;
    std::vector<double> scales_;
    std::uint64_t scale_columns_ = 0;
    std::uint64_t rows_per_scale_ = 1;
    std::uint64_t columns_per_scale_ = 1;
};

/// A row of a source.
struct SourceRow {
    std::shared_ptr<const SourceRows> source;
    std::uint64_t row = 0;
};

/// A float32 tensor whose rows are rows of sources, one after another.
std::shared_ptr<const ComputedTensor> make_computed_rows(std::vector<SourceRow> rows,
                                                         GgufTransform transform);

/// A float32 stack of matrices [columns of the source, `rows`]: for each entry of `first_rows` the
/// `rows` rows from there on, transposed.
std::shared_ptr<const ComputedTensor> make_transposed_stack(std::vector<SourceRow> first_rows,
                                                            std::uint64_t rows,
                                                            GgufTransform transform);

}  // namespace anamnesis::checkpoint
