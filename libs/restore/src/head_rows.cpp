// SPDX-License-Identifier: Apache-2.0
#include "head_rows.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "anamnesis/base/block_values.hpp"
#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/linalg/matrix_view.hpp"
#include "anamnesis/restore/fit_rows.hpp"
#include "anamnesis/restore/plan.hpp"

namespace anamnesis::restore {
namespace {

/// The place in the tensor's row of the value (i, j) of a stacked matrix.
std::size_t find_place(const HeadRows& rows, std::size_t i, std::size_t j) {
    return rows.layout == MatrixLayout::transposed ? j * rows.matrix_rows() + i
                                                   : i * rows.matrix_columns() + j;
}

void load_rows(Side side, const HeadRows& rows, linalg::MatrixView<double> target) {
    if (side == Side::pre && rows.pre == nullptr) {
        return;  // zeros
    }
    const checkpoint::TensorEntry& tensor = side == Side::pre ? *rows.pre : *rows.post;
    if (!is_arithmetic(tensor.dtype) && !can_dequantise(tensor.dtype)) {
        throw Error(ErrorKind::unsupported,
                    format("tensor {} is {}, which holds no values to compute with",
                           in_quotes(tensor.name),
                           anamnesis::to_string(tensor.dtype)));
    }
    const std::uint64_t first = side == Side::pre ? rows.pre_row : rows.post_row;
    const std::uint64_t row_bytes = tensor.row_bytes();
    std::vector<std::byte> bytes(rows.rows * row_bytes);
    tensor.read_at(first * row_bytes, bytes);
    if (rows.layout != MatrixLayout::rows) {
        std::vector<double> values(tensor.columns());
        widen(tensor.dtype, bytes, values);
        for (std::size_t i = 0; i < target.rows(); ++i) {
            for (std::size_t j = 0; j < target.columns(); ++j) {
                target(i, j) = values[find_place(rows, i, j)];
            }
        }
        return;
    }
    for (std::uint64_t row = 0; row < rows.rows; ++row) {
        widen(tensor.dtype,
              std::span(bytes).subspan(row * row_bytes, row_bytes),
              std::span(target.data() + row * target.stride(), target.columns()));
    }
}

}  // namespace

linalg::Matrix load_block(Side side, const HeadBlock& block, bool is_augmented) {
    const std::size_t columns = block.weight.matrix_columns();
    linalg::Matrix matrix(block.weight.matrix_rows(), columns + (is_augmented ? 1 : 0));
    const linalg::MatrixView<double> all = matrix.view();
    load_rows(side, block.weight, {all.data(), all.rows(), columns, all.stride()});
    if (is_augmented && block.bias) {
        load_rows(side, *block.bias, {all.data() + columns, all.rows(), 1, all.stride()});
    }
    return matrix;
}

std::vector<double> order_as_stored(const HeadRows& rows,
                                    linalg::MatrixView<const double> values,
                                    std::size_t first_column) {
    const std::size_t columns = rows.matrix_columns();
    std::vector<double> stored(values.rows() * columns);
    for (std::size_t i = 0; i < values.rows(); ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
            stored[find_place(rows, i, j)] = values(i, first_column + j);
        }
    }
    return stored;
}

std::vector<double> load_gain(const RecognisedCheckpoint& source,
                              const checkpoint::TensorEntry* gain) {
    if (gain == nullptr || source.model.qk_norm == checkpoint::QkNorm::none ||
        source.model.qk_norm == checkpoint::QkNorm::full_width) {
        throw Error(ErrorKind::unsupported,
                    format("--metric gain needs the gains of a QK-norm per head; {} has none",
                           source.model.family));
    }
    std::vector<std::byte> bytes(gain->bytes);
    gain->read_at(0, bytes);
    std::vector<double> values(count_elements(gain->dtype, gain->bytes));
    widen(gain->dtype, bytes, values);
    if (source.model.qk_norm == checkpoint::QkNorm::per_head_plus1) {
        for (double& value : values) {
            value += 1.0;
        }
    }
    return values;
}

}  // namespace anamnesis::restore
