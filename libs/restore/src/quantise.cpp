// SPDX-License-Identifier: Apache-2.0
#include "quantise.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/float8.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/apply.hpp"
#include "anamnesis/restore/plan.hpp"

#include "row_targets.hpp"
#include "row_values.hpp"

namespace anamnesis::restore {
namespace {

/// The row of pre that a replaced row of post takes.
std::uint64_t find_pre_row(const TensorChange& change, std::uint64_t row) {
    for (const RowSplice& splice : change.splices) {
        if (splice.rows.begin <= row && row < splice.rows.end) {
            return splice.pre_row + (row - splice.rows.begin);
        }
    }
    ANAMNESIS_CHECK(false, "a block of scales holds replaced rows alone");
    return 0;
}

/// Stores scales and gives them back as they are stored.
std::vector<std::byte> store_scales(DType dtype, std::vector<double>& scales) {
    std::vector<std::byte> bytes(scales.size() * element_bytes(dtype));
    if (dtype == DType::f8_e8m0) {
        for (std::size_t i = 0; i < scales.size(); ++i) {
            // The next power of two, so that no value is cut.
            const int exponent = static_cast<int>(std::ceil(std::log2(scales[i])));
            bytes[i] = static_cast<std::byte>(std::clamp(exponent + 127, 0, 254));
        }
    } else {
        // Rounded to zero a scale would take all values of its block with it.
        constexpr double smallest_f16 = 0x1p-24;
        for (double& scale : scales) {
            scale = dtype == DType::f16 ? std::max(scale, smallest_f16) : scale;
        }
        narrow(dtype, scales, bytes);
    }
    widen(dtype, bytes, scales);
    return bytes;
}

class BlockWriter {
public:
    BlockWriter(const RecognisedCheckpoint& pre, const QuantisedTarget& target)
        : target_(target),
          values_(pre.checkpoint, *target.weight.pre),
          columns_(target.weight.post->columns()),
          row_(columns_),
          bytes_(columns_) {}

    /// Writes the rows of one row of scales.
    void write(std::uint64_t scale_row) {
        const checkpoint::ScaleTensor& scale = *target_.weight.post_scale;
        const std::uint64_t begin = scale_row * scale.rows_per_block;
        const std::uint64_t end =
            std::min(begin + scale.rows_per_block, target_.weight.post->rows());
        const std::uint64_t width = scale.columns_per_block;
        std::vector<double> scales(target_.scale.post->columns(), 0.0);
        for (std::uint64_t row = begin; row < end; ++row) {
            read(row);
            for (std::uint64_t column = 0; column < columns_; ++column) {
                // NaN and infinities, which are told, take nothing from the rest of their block.
                double& largest = scales[column / width];
                const double size = std::abs(row_[column]);
                largest = std::isfinite(size) ? std::max(largest, size) : largest;
            }
        }
        const DType dtype = target_.weight.post->dtype;
        for (double& value : scales) {
            value = value > 0.0 ? value / largest_f8(dtype) : 1.0;
        }
        const std::vector<std::byte> stored = store_scales(*scale.value_type, scales);
        for (double& value : scales) {
            value = value > 0.0 ? value : 1.0;
        }
        for (std::uint64_t row = begin; row < end; ++row) {
            read(row);
            for (std::uint64_t column = 0; column < columns_; ++column) {
                row_[column] /= scales[column / width];
            }
            narrow(dtype, row_, bytes_);
            target_.weight_target.file->write_at(
                offset_of_row(target_.weight, target_.weight_target, row), bytes_);
        }
        target_.scale_target.file->write_at(
            offset_of_row(target_.scale, target_.scale_target, scale_row), stored);
    }

private:
    void read(std::uint64_t row) {
        values_.read(find_pre_row(target_.weight, row) * columns_, row_);
    }

    const QuantisedTarget& target_;
    RowValues values_;
    std::uint64_t columns_;
    std::vector<double> row_;
    std::vector<std::byte> bytes_;
};

}  // namespace

void quantise_rows(const RecognisedCheckpoint& pre,
                   const QuantisedTarget& target,
                   const Execution& execution) {
    BlockWriter writer(pre, target);
    for (const RowSplice& splice : target.scale.splices) {
        for (std::uint64_t row = splice.rows.begin; row < splice.rows.end; ++row) {
            execution.check();
            writer.write(row);
        }
    }
    execution.advance(target.weight.changed_bytes());
}

}  // namespace anamnesis::restore
