// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "anamnesis/train/batch.hpp"

namespace anamnesis::train {

/// Ready batches, for comparing trainers: a safetensors file with `input_ids` and `labels`, I64 or
/// I32 of shape [steps, B, T], and, if not all predictions count alike, `weights`, F32 of the same
/// shape.
class BatchesFile final : public BatchSource {
public:
    /// Errors: `not_found` or `mismatch`, naming the tensor; `malformed` for a weight that is no
    /// number or below 0.
    explicit BatchesFile(const std::filesystem::path& path);

    std::uint64_t steps() const noexcept { return steps_; }
    std::vector<Batch> batches(std::uint64_t step) const override;
    Size largest() const override { return {.rows = rows_, .length = length_}; }

private:
    std::uint64_t steps_ = 0;
    std::size_t rows_ = 0;
    std::size_t length_ = 0;
    std::vector<std::int64_t> ids_;
    std::vector<std::int64_t> labels_;
    std::vector<float> weights_;  ///< empty: all predictions alike
};

}  // namespace anamnesis::train
