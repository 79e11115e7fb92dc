// SPDX-License-Identifier: Apache-2.0
#include "written_scales.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"

namespace anamnesis::restore {

WrittenScales::WrittenScales(const Plan& plan,
                             const TensorChange& change,
                             const RowTargets& targets)
    : weight_(change),
      scale_(plan.changes[find_scale_change(plan, change)]),
      target_(targets[find_scale_change(plan, change)]),
      bytes_(scale_.post->row_bytes()),
      scales_(scale_.post->columns()) {}

void WrittenScales::read(std::uint64_t scale_row) {
    if (scale_row == scale_row_) {
        return;
    }
    target_.file->read_at(offset_of_row(scale_, target_, scale_row), bytes_);
    widen(*weight_.post_scale->value_type, bytes_, scales_);
    scale_row_ = scale_row;
}

void WrittenScales::multiply(std::uint64_t first_row, std::span<double> values) {
    const checkpoint::ScaleTensor& scale = *weight_.post_scale;
    const std::uint64_t columns = weight_.post->columns();
    for (std::size_t i = 0; i < values.size(); ++i) {
        const std::uint64_t column = i % columns;
        if (column == 0) {
            read((first_row + i / columns) / scale.rows_per_block);
        }
        values[i] *= scales_[column / scale.columns_per_block];
    }
}

}  // namespace anamnesis::restore
