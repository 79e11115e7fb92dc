// SPDX-License-Identifier: Apache-2.0
#include "gguf/computed_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "anamnesis/base/check.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/gguf.hpp"
#include "anamnesis/checkpoint/model.hpp"

namespace anamnesis::checkpoint {
namespace {

float through_f16(float value) {
    return f32_from_f16(f16_from_f32(value));
}

float pass_through(GgufVia via, float value) {
    switch (via) {
        case GgufVia::bf16:
            return f32_from_bf16(bf16_from_f32(value));
        case GgufVia::f16:
            return through_f16(value);
        default:
            return value;
    }
}

/// Copies bytes [begin, begin + target) of units of the same size, each made whole by `make`.
template <class Make>
void read_units(std::uint64_t unit_values,
                std::uint64_t begin,
                std::span<std::byte> target,
                const Make& make) {
    std::vector<float> unit(unit_values);
    const std::uint64_t unit_bytes = unit_values * sizeof(float);
    while (!target.empty()) {
        const std::uint64_t index = begin / unit_bytes;
        const std::uint64_t within = begin % unit_bytes;
        const std::uint64_t part = std::min<std::uint64_t>(unit_bytes - within, target.size());
        make(index, std::span(unit));
        std::memcpy(target.data(), std::as_bytes(std::span(unit)).data() + within, part);
        target = target.subspan(part);
        begin += part;
    }
}

class ComputedRows final : public ComputedTensor {
public:
    ComputedRows(std::vector<SourceRow> rows, GgufTransform transform)
        : rows_(std::move(rows)), transform_(std::move(transform)) {}

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        read_units(rows_.front().source->columns(),
                   begin,
                   target,
                   [&](std::uint64_t index, std::span<float> values) {
                       const SourceRow& row = rows_.at(index);
                       row.source->read(row.row, transform_, values);
                   });
    }

private:
    std::vector<SourceRow> rows_;
    GgufTransform transform_;
};

class TransposedStack final : public ComputedTensor {
public:
    TransposedStack(std::vector<SourceRow> first_rows, std::uint64_t rows, GgufTransform transform)
        : first_rows_(std::move(first_rows)), rows_(rows), transform_(std::move(transform)) {}

    void read_at(std::uint64_t begin, std::span<std::byte> target) const override {
        const std::uint64_t columns = first_rows_.front().source->columns();
        std::vector<float> row(columns);
        read_units(
            columns * rows_, begin, target, [&](std::uint64_t index, std::span<float> values) {
                const SourceRow& first = first_rows_.at(index);
                for (std::uint64_t i = 0; i < rows_; ++i) {
                    first.source->read(first.row + i, transform_, row);
                    for (std::uint64_t k = 0; k < columns; ++k) {
                        values[k * rows_ + i] = row[k];
                    }
                }
            });
    }

private:
    std::vector<SourceRow> first_rows_;
    std::uint64_t rows_;
    GgufTransform transform_;
};

}  // namespace

SourceRows::SourceRows(const Checkpoint& checkpoint, const TensorEntry& tensor) : tensor_(tensor) {
    if (!is_arithmetic(tensor.dtype) && !is_scaled(tensor.dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} is {}, which holds no plain values to write into a GGUF file",
                           in_quotes(tensor.name),
                           anamnesis::to_string(tensor.dtype)));
    }
    const auto scale = is_scaled(tensor.dtype) ? find_scale(checkpoint, tensor.name) : std::nullopt;
    if (scale) {
        if (!scale->value_type) {
            throw Error(ErrorKind::unsupported, describe_unreadable(*scale));
        }
        std::vector<std::byte> bytes(scale->tensor->bytes);
        scale->tensor->read_at(0, bytes);
        scales_.resize(count_elements(*scale->value_type, bytes.size()));
        widen(*scale->value_type, bytes, scales_);
        scale_columns_ = scale->tensor->columns();
        rows_per_scale_ = scale->rows_per_block;
        columns_per_scale_ = scale->columns_per_block;
    }
}

void SourceRows::read(std::uint64_t row,
                      const GgufTransform& transform,
                      std::span<float> values) const {
    std::vector<std::byte> bytes(tensor_.row_bytes());
    std::vector<double> wide(values.size());
    tensor_.read_at(row * bytes.size(), bytes);
    widen(tensor_.dtype, bytes, wide);
    const bool is_half = tensor_.dtype == DType::f16;
    const auto store = [&](float value) { return is_half ? through_f16(value) : value; };
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!scales_.empty()) {
            wide[i] *= scales_.at(row / rows_per_scale_ * scale_columns_ + i / columns_per_scale_);
        }
        auto value = static_cast<float>(wide[i]);
        for (const double factor : transform.factors) {
            value = store(value * static_cast<float>(factor));
        }
        if (transform.adds_one) {
            value = store(value + 1.0F);
        }
        values[i] = pass_through(transform.via, value);
    }
}

std::shared_ptr<const ComputedTensor> make_computed_rows(std::vector<SourceRow> rows,
                                                         GgufTransform transform) {
    ANAMNESIS_CHECK(!rows.empty(), "a computed tensor has rows");
    return std::make_shared<ComputedRows>(std::move(rows), std::move(transform));
}

std::shared_ptr<const ComputedTensor> make_transposed_stack(std::vector<SourceRow> first_rows,
                                                            std::uint64_t rows,
                                                            GgufTransform transform) {
    ANAMNESIS_CHECK(!first_rows.empty() && rows > 0, "a computed tensor has rows");
    return std::make_shared<TransposedStack>(std::move(first_rows), rows, std::move(transform));
}

}  // namespace anamnesis::checkpoint
